//! A field of a struct as a number, so that a table can say where a value goes.
//!
//! # Safety
//!
//! A [`Field`] is an offset that the compiler has computed from a path of field names, together with the type of what is
//! there: `field!` makes both from the same names, with a closure that would not compile were the type another one.
#![allow(unsafe_code)]

use core::marker::PhantomData;
use core::ptr;

/// Where in an `S` a `T` is. Made by `field!` only.
pub struct Field<S, T> {
    offset: u16,
    types: PhantomData<fn(&mut S) -> &mut T>,
}

impl<S, T> Clone for Field<S, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<S, T> Copy for Field<S, T> {}

impl<S, T> Field<S, T> {
    /// For `field!`: `offset` is that of the field which the witness gives.
    #[doc(hidden)]
    #[must_use]
    #[allow(
        clippy::cast_possible_truncation,
        reason = "asserted while compiling: it is only called in constants"
    )]
    pub const fn new(offset: usize, _witness: fn(&mut S) -> &mut T) -> Self {
        assert!(offset + size_of::<T>() <= size_of::<S>() && size_of::<S>() <= u16::MAX as usize);
        Self {
            offset: offset as u16,
            types: PhantomData,
        }
    }

    /// The field of this struct.
    pub fn of(self, whole: &mut S) -> &mut T {
        // SAFETY: the field lies inside of the struct.
        let place = unsafe { ptr::from_mut(whole).byte_add(usize::from(self.offset)) };
        // SAFETY: at this offset every `S` has a `T`; the borrow of the whole is the borrow of the part.
        unsafe { &mut *place.cast::<T>() }
    }
}

/// The [`Field`] at a path of field names: `field!(Outer, inner.number)`.
macro_rules! field {
    ($whole:ty, $($name:ident).+) => {
        $crate::sys::field::Field::new(
            core::mem::offset_of!($whole, $($name).+),
            |whole: &mut $whole| &mut whole.$($name).+,
        )
    };
}
pub(crate) use field;

#[cfg(test)]
mod tests {
    use super::Field;

    #[derive(Default)]
    struct Inner {
        small: u8,
        number: Option<u32>,
    }

    #[derive(Default)]
    struct Outer {
        first: u64,
        inner: Inner,
    }

    #[test]
    fn fields_are_where_their_names_say() {
        const FIRST: Field<Outer, u64> = field!(Outer, first);
        const SMALL: Field<Outer, u8> = field!(Outer, inner.small);
        const NUMBER: Field<Outer, Option<u32>> = field!(Outer, inner.number);
        let mut outer = Outer::default();
        *FIRST.of(&mut outer) = u64::MAX;
        *SMALL.of(&mut outer) = 7;
        *NUMBER.of(&mut outer) = Some(9);
        assert_eq!(outer.first, u64::MAX);
        assert_eq!((outer.inner.small, outer.inner.number), (7, Some(9)));
    }
}

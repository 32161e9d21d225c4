//! Packs the texts, for build.rs.
#![forbid(unsafe_code)]

use super::model::{BITS, Model};

/// The other way round of `Unpacker` in `packed.rs`, where the form is described.
pub(super) fn pack(text: &[u8]) -> Vec<u8> {
    let mut model = Box::new(Model::new());
    // The lower end of what is left, without the bytes that are in `packed` already, and the size of it.
    let (mut low, mut left, mut packed) = (0_u32, u32::MAX, Vec::<u8>::new());
    for character in text {
        for bit in (0..BITS).rev() {
            let is_one = character >> bit & 1 == 1;
            let (zero, one) = model.weights();
            let lower = left / (zero + one) * zero;
            if is_one {
                let (sum, carried) = low.overflowing_add(lower);
                low = sum;
                for byte in packed.iter_mut().rev().take_while(|_| carried) {
                    *byte = byte.wrapping_add(1);
                    if *byte != 0 {
                        break;
                    }
                }
                left -= lower;
            } else {
                left = lower;
            }
            model.see(is_one);
            while left >> 24 == 0 {
                packed.push((low >> 24) as u8);
                low <<= 8;
                left = left << 8 | 0xff;
            }
        }
    }
    packed.extend(low.to_be_bytes());
    packed
}

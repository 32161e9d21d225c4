//! Lists of CPUs and memory nodes, as the kernel writes them, as bits.
#![forbid(unsafe_code)]

/// Bits of a word.
const WORD: usize = usize::BITS as usize;

/// NUMA nodes, a bit each.
pub type Nodes = [usize; 1024 / WORD];
/// None of them.
pub(super) const NO_NODES: Nodes = [0; 1024 / WORD];

/// CPUs, a bit each: as many as a kernel can be built for.
pub type Cpus = [usize; 8192 / WORD];
/// None of them.
pub(super) const NO_CPUS: Cpus = [0; 8192 / WORD];

/// "0-3, 7" as bits; `None` for anything else, or for a number beyond their end.
pub(super) fn list(text: impl Iterator<Item = u8>, bits: &mut [usize]) -> Option<()> {
    let mut first: Option<usize> = None;
    let mut number: Option<usize> = None;
    let mut before = b',';
    for byte in text.chain(*b",") {
        match byte {
            // "1 2" is no list.
            b'0'..=b'9' if before != b' ' || number.is_none() => {
                number = Some(
                    number
                        .unwrap_or(0)
                        .checked_mul(10)?
                        .checked_add(usize::from(byte - b'0'))?,
                )
            }
            b'-' if first.is_none() => first = Some(number.take()?),
            b',' => {
                let last = number.take()?;
                for bit in first.take().unwrap_or(last)..=last {
                    *bits.get_mut(bit / WORD)? |= 1 << (bit % WORD);
                }
            }
            b' ' => {}
            _ => return None,
        }
        before = byte;
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::{NO_NODES, list};

    fn nodes(text: &str) -> Option<usize> {
        let mut set = NO_NODES;
        list(text.bytes(), &mut set).map(|()| set[0])
    }

    #[test]
    fn lists_of_numbers() {
        let cases = [
            ("0", Some(1)),
            ("0-3,7", Some(0x8f)),
            ("63", Some(1 << 63)),
            ("", None),
            (" 0 - 3 , 7 ", Some(0x8f)),
            ("1 2", None),
            ("1-", None),
            ("-1", None),
        ];
        for (text, bits) in cases {
            assert_eq!(nodes(text), bits, "{text}");
        }
        assert_eq!(
            (nodes("1023"), nodes("1024"), nodes("3-1"), nodes("x")),
            (Some(0), None, Some(0), None)
        );
    }
}

//! The checksum of a file.
#![forbid(unsafe_code)]

/// The CRC-32 of a whole file.
pub(super) fn checksum(bytes: &[u8]) -> u32 {
    let mut crc = Crc::new();
    crc.add(bytes);
    crc.value()
}

/// CRC-32 as in IEEE 802.3 and zlib, four bits at a time.
pub(super) struct Crc(u32);

impl Crc {
    pub(super) fn new() -> Self {
        Self(!0)
    }

    pub(super) fn add(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 ^= u32::from(*byte);
            for _ in 0..2 {
                let low = TABLE.get((self.0 & 15) as usize).copied().unwrap_or(0);
                self.0 = (self.0 >> 4) ^ low;
            }
        }
    }

    pub(super) fn value(&self) -> u32 {
        !self.0
    }
}

/// The remainders of the sixteen values of four bits, for the reversed polynomial 0xedb88320.
static TABLE: [u32; 16] = [
    0x0000_0000,
    0x1db7_1064,
    0x3b6e_20c8,
    0x26d9_30ac,
    0x76dc_4190,
    0x6b6b_51f4,
    0x4db2_6158,
    0x5005_713c,
    0xedb8_8320,
    0xf00f_9344,
    0xd6d6_a3e8,
    0xcb61_b38c,
    0x9b64_c2b0,
    0x86d3_d2d4,
    0xa00a_e278,
    0xbdbd_f21c,
];

//! Numbers and byte strings as the files of the store hold them: numbers in 7-bit groups, strings behind their length.

use super::hash::Hash;

/// What was read is not what a version of this program has written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Malformed;

/// Writes to the end of a buffer.
pub(super) trait Put {
    fn number(&mut self, number: u64);
    fn signed(&mut self, number: i64);
    fn string(&mut self, bytes: &[u8]);
    fn hash(&mut self, hash: &Hash);
}

impl Put for Vec<u8> {
    fn number(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.push(u8::try_from(number & 0x7f).unwrap_or_default() | 0x80);
            number >>= 7;
        }
        self.push(u8::try_from(number).unwrap_or_default());
    }

    fn signed(&mut self, number: i64) {
        self.number(((number << 1) ^ (number >> 63)).cast_unsigned());
    }

    fn string(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.extend_from_slice(bytes);
    }

    fn hash(&mut self, hash: &Hash) {
        self.extend_from_slice(&hash.0);
    }
}

/// Reads from the beginning of a buffer, and moves on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Take<'a>(pub(super) &'a [u8]);

impl<'a> Take<'a> {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn byte(&mut self) -> Result<u8, Malformed> {
        let (first, rest) = self.0.split_first().ok_or(Malformed)?;
        self.0 = rest;
        Ok(*first)
    }

    pub(super) fn number(&mut self) -> Result<u64, Malformed> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err(Malformed)
    }

    pub(super) fn small(&mut self) -> Result<u32, Malformed> {
        u32::try_from(self.number()?).map_err(|_| Malformed)
    }

    pub(super) fn signed(&mut self) -> Result<i64, Malformed> {
        let number = self.number()?;
        Ok((number >> 1).cast_signed() ^ -((number & 1).cast_signed()))
    }

    pub(super) fn slice(&mut self, length: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(Malformed)?;
        self.0 = rest;
        Ok(taken)
    }

    pub(super) fn string(&mut self) -> Result<&'a [u8], Malformed> {
        let length = usize::try_from(self.number()?).map_err(|_| Malformed)?;
        self.slice(length)
    }

    pub(super) fn hash(&mut self) -> Result<Hash, Malformed> {
        Ok(Hash(self.slice(32)?.try_into().map_err(|_| Malformed)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let numbers = [0, 1, 127, 128, 16_383, 16_384, u64::from(u32::MAX), u64::MAX];
        let signed = [0, -1, 1, 63, -64, i64::MIN, i64::MAX];
        let mut bytes = Vec::new();
        numbers.iter().for_each(|number| bytes.number(*number));
        signed.iter().for_each(|number| bytes.signed(*number));
        bytes.string(b"name");
        let mut take = Take(&bytes);
        assert!(numbers.iter().all(|number| take.number() == Ok(*number)));
        assert!(signed.iter().all(|number| take.signed() == Ok(*number)));
        assert_eq!(take.string(), Ok(&b"name"[..]));
        assert!(take.is_empty());
        for cut in 0..bytes.len() {
            let mut take = Take(&bytes[..cut]);
            let whole = (0..numbers.len()).all(|_| take.number().is_ok())
                && (0..signed.len()).all(|_| take.signed().is_ok())
                && take.string().is_ok();
            assert!(!whole, "{cut}");
        }
    }
}

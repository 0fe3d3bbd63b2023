//! Files of others, built from choices instead of bytes: most random bytes are refused at their first.

pub mod file;
pub mod pickle;

#[path = "../../crates/img2pose-cli/tests/cli/raw_zip.rs"]
pub mod raw_zip;

use arbitrary::{Arbitrary, Result, Unstructured};

/// A number that a file may lie with: small, at the edge of a type, or any.
#[derive(Clone, Copy, Debug)]
pub struct Size(pub u64);

impl<'a> Arbitrary<'a> for Size {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        Ok(Self(match u.int_in_range(0..=5)? {
            0..=2 => u.int_in_range(0..=9)?,
            3 => u.int_in_range(0..=1 << 20)?,
            4 => {
                let edge = 1u64 << u.int_in_range(7..=63)?;
                edge.wrapping_add(u.int_in_range(0..=2)?).wrapping_sub(1)
            }
            _ => u.arbitrary()?,
        }))
    }
}

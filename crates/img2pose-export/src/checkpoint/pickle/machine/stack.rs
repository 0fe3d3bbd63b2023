//! Stack, memo and bytes of the machine.

use super::super::{Id, PickleError, Value};
use super::Machine;

/// What a value takes beside itself: its place on the stack.
const PLACE: usize = size_of::<Id>();
/// The least that an allocator gives.
pub(super) const ALLOCATION: usize = 32;
/// What an entry of the memo takes in a hash map that doubles.
const MEMO_ENTRY: usize = 4 * size_of::<Id>();

impl<'a> Machine<'a> {
    /// Counts memory that is about to be taken.
    pub(super) fn take_memory(&mut self, bytes: usize) -> Result<(), PickleError> {
        self.taken += bytes as u64;
        if self.taken > self.budget {
            return Err(PickleError::Memory {
                at: self.op_at,
                budget: self.budget,
                len: self.bytes.len(),
            });
        }
        Ok(())
    }

    /// Pushes a new value.
    pub(super) fn push(&mut self, value: Value<'a>) -> Result<(), PickleError> {
        let items = match &value {
            Value::Tuple(items) | Value::List(items) if !items.is_empty() => {
                size_of_val(&items[..]).max(ALLOCATION)
            }
            Value::Dict(pairs) if !pairs.is_empty() => size_of_val(&pairs[..]).max(ALLOCATION),
            _ => 0,
        };
        self.take_memory(size_of::<Value>() + PLACE + items)?;
        // The budget is far below what a place can count.
        self.stack.push(self.values.len() as Id);
        self.values.push(value);
        Ok(())
    }

    /// Pushes a value that is there already.
    pub(super) fn push_again(&mut self, id: Id) -> Result<(), PickleError> {
        self.take_memory(PLACE)?;
        self.stack.push(id);
        Ok(())
    }

    pub(super) fn mark(&mut self) -> Result<(), PickleError> {
        self.take_memory(PLACE)?;
        self.marks.push(self.stack.len() as u32);
        Ok(())
    }

    /// Index on the stack of its `count`-th value from the top, never below the last mark.
    pub(super) fn floor(&self, count: usize) -> Result<usize, PickleError> {
        let from = self
            .stack
            .len()
            .checked_sub(count)
            .ok_or(self.malformed("the stack is empty"))?;
        if self.marks.last().is_some_and(|&mark| from < mark as usize) {
            return Err(self.malformed("the stack is empty"));
        }
        Ok(from)
    }

    pub(super) fn top(&self) -> Result<Id, PickleError> {
        Ok(self.stack[self.floor(1)?])
    }

    pub(super) fn pop(&mut self) -> Result<Id, PickleError> {
        let top = self.top()?;
        self.stack.pop();
        Ok(top)
    }

    pub(super) fn pop_mark(&mut self) -> Result<Vec<Id>, PickleError> {
        let mark = self.marks.pop().ok_or(self.malformed("no mark"))?;
        Ok(self.stack.split_off(mark as usize))
    }

    pub(super) fn remember(&mut self, key: u32) -> Result<(), PickleError> {
        let top = self.top()?;
        self.take_memory(MEMO_ENTRY)?;
        self.memo.insert(key, top);
        Ok(())
    }

    pub(super) fn recall(&mut self, key: u32) -> Result<(), PickleError> {
        let id = *self.memo.get(&key).ok_or(self.malformed("unknown memo entry"))?;
        self.push_again(id)
    }

    pub(super) fn memo_key(&mut self) -> Result<u32, PickleError> {
        self.line()?.parse().map_err(|_| self.malformed("not a memo key"))
    }

    /// `LONG1`, `LONG4`: two's complement, little-endian. Numbers beyond 64 bits are no sizes of tensors.
    pub(super) fn long(&mut self, len: usize) -> Result<(), PickleError> {
        let bytes = self.take(len)?;
        let fill = if bytes.last().is_some_and(|&high| high >= 0x80) {
            0xff
        } else {
            0
        };
        let value = if len <= 8 {
            let mut wide = [fill; 8];
            wide[..len].copy_from_slice(bytes);
            Value::Int(i64::from_le_bytes(wide))
        } else {
            Value::Bytes
        };
        self.push(value)
    }

    /// `INT`, `LONG` of protocol 0; `INT` also writes booleans, as `00` and `01`.
    pub(super) fn decimal(&mut self) -> Result<(), PickleError> {
        let value = match self.line()? {
            "00" => Value::Bool(false),
            "01" => Value::Bool(true),
            digits => {
                let digits = digits.strip_suffix('L').unwrap_or(digits);
                Value::Int(digits.parse().map_err(|_| self.malformed("not an integer"))?)
            }
        };
        self.push(value)
    }

    pub(super) fn text(&mut self, len: usize) -> Result<(), PickleError> {
        let bytes = self.take(len)?;
        let text = std::str::from_utf8(bytes).map_err(|_| self.malformed("a text that is not UTF-8"))?;
        self.push(Value::Str(text))
    }

    pub(super) fn byte(&mut self) -> Result<u8, PickleError> {
        Ok(self.take(1)?[0])
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], PickleError> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    pub(super) fn length4(&mut self) -> Result<usize, PickleError> {
        let length = u32::from_le_bytes(self.array()?);
        usize::try_from(length).map_err(|_| self.malformed("a length out of range"))
    }

    pub(super) fn length8(&mut self) -> Result<usize, PickleError> {
        let length = u64::from_le_bytes(self.array()?);
        usize::try_from(length).map_err(|_| self.malformed("a length out of range"))
    }

    pub(super) fn take(&mut self, len: usize) -> Result<&'a [u8], PickleError> {
        let bytes = self.bytes.get(self.at..).and_then(|rest| rest.get(..len));
        let bytes = bytes.ok_or(PickleError::Truncated(self.bytes.len()))?;
        self.at += len;
        Ok(bytes)
    }

    pub(super) fn line(&mut self) -> Result<&'a str, PickleError> {
        let rest = &self.bytes[self.at..];
        let len = rest
            .iter()
            .position(|&b| b == b'\n')
            .ok_or(PickleError::Truncated(self.bytes.len()))?;
        let line =
            std::str::from_utf8(&rest[..len]).map_err(|_| self.malformed("a text that is not UTF-8"))?;
        self.at += len + 1;
        Ok(line)
    }

    pub(super) fn malformed(&self, what: &'static str) -> PickleError {
        PickleError::Malformed { at: self.op_at, what }
    }
}

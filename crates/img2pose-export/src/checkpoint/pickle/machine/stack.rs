//! Stack, memo and bytes of the machine.

use super::super::{Id, PickleError, Value};
use super::Machine;

impl Machine<'_> {
    pub(super) fn push(&mut self, value: Value) {
        self.stack.push(self.values.len());
        self.values.push(value);
    }

    /// Index on the stack of its `count`-th value from the top, never below the last mark.
    pub(super) fn floor(&self, count: usize) -> Result<usize, PickleError> {
        let from = self
            .stack
            .len()
            .checked_sub(count)
            .ok_or(self.malformed("the stack is empty"))?;
        if self.marks.last().is_some_and(|&mark| from < mark) {
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
        Ok(self.stack.split_off(mark))
    }

    pub(super) fn remember(&mut self, key: usize) -> Result<(), PickleError> {
        let top = self.top()?;
        self.memo.insert(key, top);
        Ok(())
    }

    pub(super) fn recall(&mut self, key: usize) -> Result<(), PickleError> {
        let id = *self.memo.get(&key).ok_or(self.malformed("unknown memo entry"))?;
        self.stack.push(id);
        Ok(())
    }

    pub(super) fn memo_key(&mut self) -> Result<usize, PickleError> {
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
        self.push(value);
        Ok(())
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
        self.push(value);
        Ok(())
    }

    pub(super) fn text(&mut self, len: usize) -> Result<(), PickleError> {
        let bytes = self.take(len)?;
        let text = std::str::from_utf8(bytes)
            .map_err(|_| self.malformed("a text that is not UTF-8"))?
            .to_owned();
        self.push(Value::Str(text));
        Ok(())
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
}

impl<'a> Machine<'a> {
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

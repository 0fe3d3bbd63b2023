//! Reads the pickle of a torch checkpoint as data. Nothing is ever called or imported.
//!
//! A pickle is a program for a stack machine whose `GLOBAL` and `REDUCE` instructions name and call any Python
//! function. This reader knows the instructions that build plain values and the few functions that rebuild
//! tensors ([`ALLOWED`]); it makes its own values in their place and refuses everything else by name.
//! Instructions: <https://github.com/python/cpython/blob/main/Lib/pickletools.py>.

use std::collections::HashMap;

/// The globals that a state dict needs; a tensor's storage type is the other kind.
const ALLOWED: [(&str, Global); 3] = [
    ("collections.OrderedDict", Global::OrderedDict),
    ("torch._utils._rebuild_tensor_v2", Global::RebuildTensor),
    ("torch._utils._rebuild_parameter", Global::RebuildParameter),
];

const STORAGES: [(&str, ElementType); 10] = [
    ("torch.FloatStorage", ElementType::F32),
    ("torch.HalfStorage", ElementType::F16),
    ("torch.BFloat16Storage", ElementType::Bf16),
    ("torch.DoubleStorage", ElementType::F64),
    ("torch.LongStorage", ElementType::Other(8)),
    ("torch.IntStorage", ElementType::Other(4)),
    ("torch.ShortStorage", ElementType::Other(2)),
    ("torch.CharStorage", ElementType::Other(1)),
    ("torch.ByteStorage", ElementType::Other(1)),
    ("torch.BoolStorage", ElementType::Other(1)),
];

/// Why a pickle was not read.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum PickleError {
    /// It names a Python object that is not needed to hold tensors.
    #[error(
        "the pickle wants to use {0}, which is no part of a plain state dict; nothing was executed, and the file is refused"
    )]
    Global(String),
    /// It calls something, or makes an object, in a way that is not needed to hold tensors.
    #[error("the pickle wants to {0}; nothing was executed, and the file is refused")]
    Call(&'static str),
    /// It ends too early.
    #[error("the pickle is truncated at byte {0}")]
    Truncated(usize),
    /// It is not a pickle, or a broken one.
    #[error("the pickle is malformed at byte {at}: {what}")]
    Malformed {
        /// Offset of the instruction.
        at: usize,
        /// What is wrong.
        what: &'static str,
    },
}

/// Type of the numbers in a storage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ElementType {
    /// 32-bit float.
    F32,
    /// 16-bit float, IEEE 754.
    F16,
    /// 16-bit float, the upper half of an [`ElementType::F32`].
    Bf16,
    /// 64-bit float.
    F64,
    /// A type that weights never have, with its size in bytes.
    Other(usize),
}

impl ElementType {
    /// Bytes of one number.
    pub fn size(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F16 | Self::Bf16 => 2,
            Self::F64 => 8,
            Self::Other(size) => size,
        }
    }
}

/// Place of a value in [`Pickle`].
pub type Id = usize;

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Global {
    OrderedDict,
    RebuildTensor,
    RebuildParameter,
    Storage(ElementType),
}

/// A tensor's numbers: an entry of the archive.
#[derive(Clone, Debug, PartialEq)]
pub struct Storage {
    /// Name of the entry below `data/`.
    pub key: String,
    /// Type of the numbers.
    pub element: ElementType,
    /// How many there are.
    pub len: usize,
}

/// A view of a storage.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    /// Where the numbers are.
    pub storage: Storage,
    /// Index of the first number.
    pub offset: usize,
    /// Size along each axis.
    pub shape: Vec<usize>,
    /// Numbers to skip for a step along each axis.
    pub stride: Vec<usize>,
}

/// A Python value.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    None,
    Bool(bool),
    Int(i64),
    Float(f64),
    Str(String),
    Bytes,
    Tuple(Vec<Id>),
    List(Vec<Id>),
    Dict(Vec<(Id, Id)>),
    Global(Global),
    Storage(Storage),
    Tensor(Tensor),
}

/// The values of a pickle. They refer to one another by [`Id`]: shared values are stored once, and no nesting,
/// however deep, is walked by recursion.
#[derive(Debug)]
pub struct Pickle {
    values: Vec<Value>,
    root: Id,
}

impl Pickle {
    /// Reads a pickle of protocol 0 to 5.
    pub fn parse(bytes: &[u8]) -> Result<Self, PickleError> {
        Machine {
            bytes,
            at: 0,
            op_at: 0,
            values: Vec::new(),
            stack: Vec::new(),
            marks: Vec::new(),
            memo: HashMap::new(),
        }
        .run()
    }

    /// The value that the pickle stands for.
    pub fn root(&self) -> Id {
        self.root
    }

    /// The value at `id`.
    pub fn value(&self, id: Id) -> &Value {
        &self.values[id]
    }

    /// The entries of a dict whose keys are texts; empty for any other value.
    pub fn entries(&self, id: Id) -> impl Iterator<Item = (&str, Id)> {
        let pairs: &[(Id, Id)] = match self.value(id) {
            Value::Dict(pairs) => pairs,
            _ => &[],
        };
        pairs.iter().filter_map(|&(key, value)| match self.value(key) {
            Value::Str(key) => Some((key.as_str(), value)),
            _ => None,
        })
    }
}

/// The stack machine.
struct Machine<'a> {
    bytes: &'a [u8],
    at: usize,
    op_at: usize,
    values: Vec<Value>,
    stack: Vec<Id>,
    marks: Vec<usize>,
    memo: HashMap<usize, Id>,
}

impl Machine<'_> {
    fn run(mut self) -> Result<Pickle, PickleError> {
        loop {
            self.op_at = self.at;
            let op = self.byte()?;
            if op == b'.' {
                let root = self.pop()?;
                return Ok(Pickle {
                    values: self.values,
                    root,
                });
            }
            self.step(op)?;
        }
    }

    fn step(&mut self, op: u8) -> Result<(), PickleError> {
        match op {
            // PROTO, FRAME: nothing that matters here.
            0x80 => drop(self.byte()?),
            0x95 => drop(self.take(8)?),
            // MARK, POP, POP_MARK, DUP
            b'(' => self.marks.push(self.stack.len()),
            b'0' => drop(self.pop()?),
            b'1' => drop(self.pop_mark()?),
            b'2' => {
                let top = self.top()?;
                self.stack.push(top);
            }
            // Plain values.
            b'N' => self.push(Value::None),
            0x88 => self.push(Value::Bool(true)),
            0x89 => self.push(Value::Bool(false)),
            b'J' => {
                let n = i32::from_le_bytes(self.array()?);
                self.push(Value::Int(n.into()));
            }
            b'K' => {
                let n = self.byte()?;
                self.push(Value::Int(n.into()));
            }
            b'M' => {
                let n = u16::from_le_bytes(self.array()?);
                self.push(Value::Int(n.into()));
            }
            0x8a => {
                let len = self.byte()?.into();
                self.long(len)?;
            }
            0x8b => {
                let len = self.length4()?;
                self.long(len)?;
            }
            b'I' | b'L' => self.decimal()?,
            b'G' => {
                let x = f64::from_be_bytes(self.array()?);
                self.push(Value::Float(x));
            }
            b'F' => {
                let x = self.line()?.parse().map_err(|_| self.malformed("not a number"))?;
                self.push(Value::Float(x));
            }
            // Texts: BINUNICODE, SHORT_BINUNICODE, BINUNICODE8; BINSTRING and SHORT_BINSTRING of Python 2.
            b'X' | b'T' => {
                let len = self.length4()?;
                self.text(len)?;
            }
            0x8c | b'U' => {
                let len = self.byte()?.into();
                self.text(len)?;
            }
            0x8d => {
                let len = self.length8()?;
                self.text(len)?;
            }
            b'V' => {
                let text = self.line()?.to_owned();
                self.push(Value::Str(text));
            }
            // BINBYTES, SHORT_BINBYTES
            b'B' => {
                let len = self.length4()?;
                self.take(len)?;
                self.push(Value::Bytes);
            }
            b'C' => {
                let len = self.byte()?.into();
                self.take(len)?;
                self.push(Value::Bytes);
            }
            b')' => self.push(Value::Tuple(Vec::new())),
            b']' => self.push(Value::List(Vec::new())),
            b'}' => self.push(Value::Dict(Vec::new())),
            b't' => {
                let items = self.pop_mark()?;
                self.push(Value::Tuple(items));
            }
            0x85..=0x87 => {
                let from = self.floor(usize::from(op - 0x84))?;
                let items = self.stack.split_off(from);
                self.push(Value::Tuple(items));
            }
            b'l' => {
                let items = self.pop_mark()?;
                self.push(Value::List(items));
            }
            b'd' => {
                let items = self.pop_mark()?;
                let pairs = self.pairs(&items)?;
                self.push(Value::Dict(pairs));
            }
            b'a' => {
                let item = self.pop()?;
                self.append(&[item])?;
            }
            b'e' => {
                let items = self.pop_mark()?;
                self.append(&items)?;
            }
            b's' => {
                let from = self.floor(2)?;
                let items = self.stack.split_off(from);
                self.set_items(&items)?;
            }
            b'u' => {
                let items = self.pop_mark()?;
                self.set_items(&items)?;
            }
            // Memo.
            b'q' => {
                let key = self.byte()?.into();
                self.remember(key)?;
            }
            b'r' => {
                let key = self.length4()?;
                self.remember(key)?;
            }
            0x94 => self.remember(self.memo.len())?,
            b'p' => {
                let key = self.memo_key()?;
                self.remember(key)?;
            }
            b'h' => {
                let key = self.byte()?.into();
                self.recall(key)?;
            }
            b'j' => {
                let key = self.length4()?;
                self.recall(key)?;
            }
            b'g' => {
                let key = self.memo_key()?;
                self.recall(key)?;
            }
            // GLOBAL, STACK_GLOBAL
            b'c' => {
                let module = self.line()?.to_owned();
                let name = self.line()?.to_owned();
                self.global(&module, &name)?;
            }
            0x93 => {
                let (name, module) = (self.pop()?, self.pop()?);
                match (self.values[module].clone(), self.values[name].clone()) {
                    (Value::Str(module), Value::Str(name)) => self.global(&module, &name)?,
                    _ => return Err(self.malformed("the name of a global is not a text")),
                }
            }
            b'Q' => self.storage()?,
            b'R' => self.reduce()?,
            // BUILD: torch hangs `_metadata` on the OrderedDict of a state dict. Not needed.
            b'b' => {
                self.pop()?;
                let top = self.top()?;
                if !matches!(self.values[top], Value::Dict(_)) {
                    return Err(PickleError::Call("set the state of an object"));
                }
            }
            b'i' => {
                let (module, name) = (self.line()?.to_owned(), self.line()?.to_owned());
                return Err(PickleError::Global(format!("{module}.{name}")));
            }
            b'o' | 0x81 | 0x92 => return Err(PickleError::Call("make an object")),
            0x82..=0x84 => return Err(PickleError::Call("use a registered extension")),
            _ => return Err(self.malformed("unknown instruction")),
        }
        Ok(())
    }

    fn global(&mut self, module: &str, name: &str) -> Result<(), PickleError> {
        let full = format!("{module}.{name}");
        let storage = || {
            STORAGES
                .iter()
                .find(|(n, _)| *n == full)
                .map(|&(_, element)| Global::Storage(element))
        };
        let allowed = ALLOWED
            .iter()
            .find(|(n, _)| *n == full)
            .map(|&(_, global)| global);
        let global = allowed
            .or_else(storage)
            .ok_or(PickleError::Global(full.clone()))?;
        self.push(Value::Global(global));
        Ok(())
    }

    /// `BINPERSID`: torch writes `("storage", type, key, device, length)`.
    fn storage(&mut self) -> Result<(), PickleError> {
        let id = self.pop()?;
        let parts = self
            .tuple(id)
            .filter(|parts| parts.len() >= 5)
            .ok_or(self.malformed("not a tensor storage"))?;
        let storage = match (
            &self.values[parts[0]],
            &self.values[parts[1]],
            &self.values[parts[2]],
            self.size(parts[4]),
        ) {
            (Value::Str(tag), Value::Global(Global::Storage(element)), Value::Str(key), Some(len))
                if tag == "storage" =>
            {
                Storage {
                    key: key.clone(),
                    element: *element,
                    len,
                }
            }
            _ => return Err(self.malformed("not a tensor storage")),
        };
        self.push(Value::Storage(storage));
        Ok(())
    }

    fn reduce(&mut self) -> Result<(), PickleError> {
        let (args, function) = (self.pop()?, self.pop()?);
        let Value::Global(function) = self.values[function] else {
            return Err(PickleError::Call("call something that is not a function"));
        };
        let args = self
            .tuple(args)
            .ok_or(self.malformed("arguments are not a tuple"))?;
        let value = match function {
            Global::OrderedDict if args.is_empty() => Value::Dict(Vec::new()),
            Global::RebuildTensor if args.len() >= 4 => self.tensor(args)?,
            Global::RebuildParameter if !args.is_empty() => match &self.values[args[0]] {
                tensor @ Value::Tensor(_) => tensor.clone(),
                _ => return Err(self.malformed("a parameter that is not a tensor")),
            },
            Global::Storage(_) => return Err(PickleError::Call("call a storage type")),
            _ => return Err(self.malformed("unexpected arguments of a call")),
        };
        self.push(value);
        Ok(())
    }

    /// `_rebuild_tensor_v2(storage, offset, size, stride, requires_grad, hooks)`.
    fn tensor(&self, args: &[Id]) -> Result<Value, PickleError> {
        let sizes = |id| {
            self.tuple(id)?
                .iter()
                .map(|&size| self.size(size))
                .collect::<Option<Vec<_>>>()
        };
        match (
            &self.values[args[0]],
            self.size(args[1]),
            sizes(args[2]),
            sizes(args[3]),
        ) {
            (Value::Storage(storage), Some(offset), Some(shape), Some(stride))
                if shape.len() == stride.len() =>
            {
                Ok(Value::Tensor(Tensor {
                    storage: storage.clone(),
                    offset,
                    shape,
                    stride,
                }))
            }
            _ => Err(self.malformed("unexpected arguments of a tensor")),
        }
    }

    fn tuple(&self, id: Id) -> Option<&[Id]> {
        match &self.values[id] {
            Value::Tuple(items) => Some(items),
            _ => None,
        }
    }

    fn size(&self, id: Id) -> Option<usize> {
        match self.values[id] {
            Value::Int(n) => n.try_into().ok(),
            _ => None,
        }
    }

    fn append(&mut self, items: &[Id]) -> Result<(), PickleError> {
        let (list, error) = (self.top()?, self.malformed("append to what is not a list"));
        match &mut self.values[list] {
            Value::List(list) => list.extend(items),
            _ => return Err(error),
        }
        Ok(())
    }

    fn set_items(&mut self, items: &[Id]) -> Result<(), PickleError> {
        let pairs = self.pairs(items)?;
        let (dict, error) = (self.top()?, self.malformed("set items of what is not a dict"));
        match &mut self.values[dict] {
            Value::Dict(dict) => dict.extend(pairs),
            _ => return Err(error),
        }
        Ok(())
    }

    fn pairs(&self, items: &[Id]) -> Result<Vec<(Id, Id)>, PickleError> {
        let (pairs, rest) = items.as_chunks::<2>();
        if !rest.is_empty() {
            return Err(self.malformed("a dict key without a value"));
        }
        Ok(pairs.iter().map(|&[key, value]| (key, value)).collect())
    }

    fn push(&mut self, value: Value) {
        self.stack.push(self.values.len());
        self.values.push(value);
    }

    /// Index on the stack of its `count`-th value from the top, never below the last mark.
    fn floor(&self, count: usize) -> Result<usize, PickleError> {
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

    fn top(&self) -> Result<Id, PickleError> {
        Ok(self.stack[self.floor(1)?])
    }

    fn pop(&mut self) -> Result<Id, PickleError> {
        let top = self.top()?;
        self.stack.pop();
        Ok(top)
    }

    fn pop_mark(&mut self) -> Result<Vec<Id>, PickleError> {
        let mark = self.marks.pop().ok_or(self.malformed("no mark"))?;
        Ok(self.stack.split_off(mark))
    }

    fn remember(&mut self, key: usize) -> Result<(), PickleError> {
        let top = self.top()?;
        self.memo.insert(key, top);
        Ok(())
    }

    fn recall(&mut self, key: usize) -> Result<(), PickleError> {
        let id = *self.memo.get(&key).ok_or(self.malformed("unknown memo entry"))?;
        self.stack.push(id);
        Ok(())
    }

    fn memo_key(&mut self) -> Result<usize, PickleError> {
        self.line()?.parse().map_err(|_| self.malformed("not a memo key"))
    }

    /// `LONG1`, `LONG4`: two's complement, little-endian. Numbers beyond 64 bits are no sizes of tensors.
    fn long(&mut self, len: usize) -> Result<(), PickleError> {
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
    fn decimal(&mut self) -> Result<(), PickleError> {
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

    fn text(&mut self, len: usize) -> Result<(), PickleError> {
        let bytes = self.take(len)?;
        let text = std::str::from_utf8(bytes)
            .map_err(|_| self.malformed("a text that is not UTF-8"))?
            .to_owned();
        self.push(Value::Str(text));
        Ok(())
    }

    fn byte(&mut self) -> Result<u8, PickleError> {
        Ok(self.take(1)?[0])
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], PickleError> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    fn length4(&mut self) -> Result<usize, PickleError> {
        let length = u32::from_le_bytes(self.array()?);
        usize::try_from(length).map_err(|_| self.malformed("a length out of range"))
    }

    fn length8(&mut self) -> Result<usize, PickleError> {
        let length = u64::from_le_bytes(self.array()?);
        usize::try_from(length).map_err(|_| self.malformed("a length out of range"))
    }
}

impl<'a> Machine<'a> {
    fn take(&mut self, len: usize) -> Result<&'a [u8], PickleError> {
        let bytes = self.bytes.get(self.at..).and_then(|rest| rest.get(..len));
        let bytes = bytes.ok_or(PickleError::Truncated(self.bytes.len()))?;
        self.at += len;
        Ok(bytes)
    }

    fn line(&mut self) -> Result<&'a str, PickleError> {
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

    fn malformed(&self, what: &'static str) -> PickleError {
        PickleError::Malformed { at: self.op_at, what }
    }
}

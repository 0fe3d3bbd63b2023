//! The instructions of the stack machine.

mod stack;

use std::collections::HashMap;
use std::sync::Arc;

use img2pose::text::brief;

use super::super::{MAX_AXES, budget};
use super::{ElementType, Global, Id, Pickle, PickleError, Storage, Tensor, Value};

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

/// Longest name of an entry below `data/`, in bytes; PyTorch counts.
const MOST_KEY: usize = 64;

/// Characters of a global's name in a message.
const NAME: usize = 80;

/// The stack machine.
pub(super) struct Machine<'a> {
    bytes: &'a [u8],
    at: usize,
    op_at: usize,
    values: Vec<Value<'a>>,
    stack: Vec<Id>,
    marks: Vec<u32>,
    memo: HashMap<u32, Id>,
    /// Bytes of memory taken, and how many may be.
    taken: u64,
    budget: u64,
}

impl<'a> Machine<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            at: 0,
            op_at: 0,
            values: Vec::new(),
            stack: Vec::new(),
            marks: Vec::new(),
            memo: HashMap::new(),
            taken: 0,
            budget: budget::values(bytes.len() as u64),
        }
    }

    /// Runs to the end of the pickle.
    pub(super) fn run(mut self) -> Result<Pickle<'a>, PickleError> {
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
            b'(' => self.mark()?,
            b'0' => drop(self.pop()?),
            b'1' => drop(self.pop_mark()?),
            b'2' => {
                let top = self.top()?;
                self.push_again(top)?;
            }
            // Plain values.
            b'N' => self.push(Value::None)?,
            0x88 => self.push(Value::Bool(true))?,
            0x89 => self.push(Value::Bool(false))?,
            b'J' => {
                let n = i32::from_le_bytes(self.array()?);
                self.push(Value::Int(n.into()))?;
            }
            b'K' => {
                let n = self.byte()?;
                self.push(Value::Int(n.into()))?;
            }
            b'M' => {
                let n = u16::from_le_bytes(self.array()?);
                self.push(Value::Int(n.into()))?;
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
                self.push(Value::Float(x))?;
            }
            b'F' => {
                let x = self.line()?.parse().map_err(|_| self.malformed("not a number"))?;
                self.push(Value::Float(x))?;
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
                let text = self.line()?;
                self.push(Value::Str(text))?;
            }
            // BINBYTES, SHORT_BINBYTES
            b'B' => {
                let len = self.length4()?;
                self.take(len)?;
                self.push(Value::Bytes)?;
            }
            b'C' => {
                let len = self.byte()?.into();
                self.take(len)?;
                self.push(Value::Bytes)?;
            }
            b')' => self.push(Value::Tuple(Vec::new()))?,
            b']' => self.push(Value::List(Vec::new()))?,
            b'}' => self.push(Value::Dict(Vec::new()))?,
            b't' => {
                let items = self.pop_mark()?;
                self.push(Value::Tuple(items))?;
            }
            0x85..=0x87 => {
                let from = self.floor(usize::from(op - 0x84))?;
                let items = self.stack.split_off(from);
                self.push(Value::Tuple(items))?;
            }
            b'l' => {
                let items = self.pop_mark()?;
                self.push(Value::List(items))?;
            }
            b'd' => {
                let items = self.pop_mark()?;
                let pairs = self.pairs(&items)?;
                self.push(Value::Dict(pairs))?;
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
                let key = u32::from_le_bytes(self.array()?);
                self.remember(key)?;
            }
            0x94 => self.remember(self.memo.len() as u32)?,
            b'p' => {
                let key = self.memo_key()?;
                self.remember(key)?;
            }
            b'h' => {
                let key = self.byte()?.into();
                self.recall(key)?;
            }
            b'j' => {
                let key = u32::from_le_bytes(self.array()?);
                self.recall(key)?;
            }
            b'g' => {
                let key = self.memo_key()?;
                self.recall(key)?;
            }
            // GLOBAL, STACK_GLOBAL
            b'c' => {
                let module = self.line()?;
                let name = self.line()?;
                self.global(module, name)?;
            }
            0x93 => {
                let (name, module) = (self.pop()?, self.pop()?);
                match (self.value(module), self.value(name)) {
                    (&Value::Str(module), &Value::Str(name)) => self.global(module, name)?,
                    _ => return Err(self.malformed("the name of a global is not a text")),
                }
            }
            b'Q' => self.storage()?,
            b'R' => self.reduce()?,
            // BUILD: torch hangs `_metadata` on the OrderedDict of a state dict. Not needed.
            b'b' => {
                self.pop()?;
                let top = self.top()?;
                if !matches!(self.value(top), Value::Dict(_)) {
                    return Err(PickleError::Call("set the state of an object"));
                }
            }
            b'i' => {
                let (module, name) = (self.line()?, self.line()?);
                return Err(PickleError::Global(full_name(module, name)));
            }
            b'o' | 0x81 | 0x92 => return Err(PickleError::Call("make an object")),
            0x82..=0x84 => return Err(PickleError::Call("use a registered extension")),
            _ => return Err(self.malformed("unknown instruction")),
        }
        Ok(())
    }

    fn global(&mut self, module: &str, name: &str) -> Result<(), PickleError> {
        let is = |full: &str| full.strip_prefix(module).and_then(|rest| rest.strip_prefix('.')) == Some(name);
        let allowed = ALLOWED
            .iter()
            .find(|(full, _)| is(full))
            .map(|&(_, global)| global);
        let storage = STORAGES.iter().find(|(full, _)| is(full));
        let global = allowed
            .or(storage.map(|&(_, element)| Global::Storage(element)))
            .ok_or_else(|| PickleError::Global(full_name(module, name)))?;
        self.push(Value::Global(global))
    }

    /// `BINPERSID`: torch writes `("storage", type, key, device, length)`.
    fn storage(&mut self) -> Result<(), PickleError> {
        let id = self.pop()?;
        let parts = self
            .tuple(id)
            .filter(|parts| parts.len() >= 5)
            .ok_or(self.malformed("not a tensor storage"))?;
        let storage = match (
            self.value(parts[0]),
            self.value(parts[1]),
            self.value(parts[2]),
            self.size(parts[4]),
        ) {
            (Value::Str("storage"), Value::Global(Global::Storage(element)), Value::Str(key), Some(len))
                if key.len() <= MOST_KEY =>
            {
                Storage {
                    key: (*key).to_owned(),
                    element: *element,
                    len,
                }
            }
            _ => return Err(self.malformed("not a tensor storage")),
        };
        self.take_memory(size_of::<Storage>() + storage.key.len())?;
        self.push(Value::Storage(Arc::new(storage)))
    }

    fn reduce(&mut self) -> Result<(), PickleError> {
        let (args, function) = (self.pop()?, self.pop()?);
        let &Value::Global(function) = self.value(function) else {
            return Err(PickleError::Call("call something that is not a function"));
        };
        let args = self
            .tuple(args)
            .ok_or(self.malformed("arguments are not a tuple"))?;
        match function {
            Global::OrderedDict if args.is_empty() => self.push(Value::Dict(Vec::new())),
            Global::RebuildTensor if args.len() >= 4 => {
                let tensor = self.tensor(args)?;
                self.take_memory(size_of::<Tensor>() + 2 * size_of_val(&tensor.shape[..]))?;
                self.push(Value::Tensor(Arc::new(tensor)))
            }
            Global::RebuildParameter if !args.is_empty() => match self.value(args[0]) {
                Value::Tensor(_) => self.push_again(args[0]),
                _ => Err(self.malformed("a parameter that is not a tensor")),
            },
            Global::Storage(_) => Err(PickleError::Call("call a storage type")),
            _ => Err(self.malformed("unexpected arguments of a call")),
        }
    }

    /// `_rebuild_tensor_v2(storage, offset, size, stride, requires_grad, hooks)`.
    fn tensor(&self, args: &[Id]) -> Result<Tensor, PickleError> {
        let sizes = |id| {
            let sizes = self.tuple(id).filter(|sizes| sizes.len() <= MAX_AXES)?;
            sizes
                .iter()
                .map(|&size| self.size(size))
                .collect::<Option<Vec<_>>>()
        };
        match (
            self.value(args[0]),
            self.size(args[1]),
            sizes(args[2]),
            sizes(args[3]),
        ) {
            (Value::Storage(storage), Some(offset), Some(shape), Some(stride))
                if shape.len() == stride.len() =>
            {
                Ok(Tensor {
                    storage: storage.clone(),
                    offset,
                    shape,
                    stride,
                })
            }
            _ => Err(self.malformed("unexpected arguments of a tensor")),
        }
    }

    fn value(&self, id: Id) -> &Value<'a> {
        &self.values[id as usize]
    }

    fn tuple(&self, id: Id) -> Option<&[Id]> {
        match self.value(id) {
            Value::Tuple(items) => Some(items),
            _ => None,
        }
    }

    fn size(&self, id: Id) -> Option<usize> {
        match *self.value(id) {
            Value::Int(n) => n.try_into().ok(),
            _ => None,
        }
    }

    fn append(&mut self, items: &[Id]) -> Result<(), PickleError> {
        let (list, error) = (self.top()?, self.malformed("append to what is not a list"));
        self.take_memory(size_of_val(items).max(stack::ALLOCATION))?;
        match &mut self.values[list as usize] {
            Value::List(list) => list.extend(items),
            _ => return Err(error),
        }
        Ok(())
    }

    fn set_items(&mut self, items: &[Id]) -> Result<(), PickleError> {
        let pairs = self.pairs(items)?;
        let (dict, error) = (self.top()?, self.malformed("set items of what is not a dict"));
        self.take_memory(size_of_val(items).max(stack::ALLOCATION))?;
        match &mut self.values[dict as usize] {
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
}

fn full_name(module: &str, name: &str) -> String {
    format!("{}.{}", brief(module, NAME), brief(name, NAME))
}

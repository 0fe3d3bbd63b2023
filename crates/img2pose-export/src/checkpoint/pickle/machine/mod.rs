//! The instructions of the stack machine.

mod stack;

use std::collections::HashMap;

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

/// The stack machine.
pub(super) struct Machine<'a> {
    bytes: &'a [u8],
    at: usize,
    op_at: usize,
    values: Vec<Value>,
    stack: Vec<Id>,
    marks: Vec<usize>,
    memo: HashMap<usize, Id>,
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
        }
    }
}

impl Machine<'_> {
    /// Runs to the end of the pickle.
    pub(super) fn run(mut self) -> Result<Pickle, PickleError> {
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
}

//! Pickles, instruction by instruction.

use arbitrary::Arbitrary;

use super::Size;

/// An instruction, or several that belong together.
#[derive(Arbitrary, Clone, Debug)]
pub enum Op {
    Mark,
    Pop,
    PopMark,
    Dup,
    None,
    Int(i32),
    Long(Size),
    /// A name of the network, so that something is found.
    Name(u8),
    Text(String),
    /// A text that claims another length.
    LyingText(Size, String),
    LongText(u32),
    EmptyTuple,
    EmptyList,
    EmptyDict,
    Tuple,
    Tuple1,
    Tuple2,
    Tuple3,
    List,
    Dict,
    Append,
    Appends,
    SetItem,
    SetItems,
    Put(u8),
    Get(u8),
    Memoize,
    Global(u8),
    StackGlobal,
    PersistentId,
    Reduce,
    Build,
    /// A storage of so many numbers, below one of the keys.
    Storage {
        key: u8,
        kind: u8,
        len: Size,
    },
    /// A tensor of the storage on the stack: offset, shape, strides.
    Tensor(Size, Vec<Size>, Vec<Size>),
    /// All of a tensor that fits its storage.
    Good {
        name: u8,
        key: u8,
        len: u8,
    },
    Bytes(Vec<u8>),
}

/// Instructions, one of which may come many times.
#[derive(Arbitrary, Clone, Debug)]
pub struct Program {
    ops: Vec<Op>,
    repeated: Option<(u8, u16, bool)>,
    ends: bool,
}

const NAMES: [&str; 6] = [
    "fpn_model",
    "module.backbone.body.conv1.weight",
    "backbone.body.layer1.0.conv1.weight",
    "backbone.fpn.inner_blocks.0.weight",
    "rpn.head.conv.bias",
    "x",
];

const GLOBALS: [&str; 6] = [
    "collections\nOrderedDict\n",
    "torch._utils\n_rebuild_tensor_v2\n",
    "torch._utils\n_rebuild_parameter\n",
    "torch\nFloatStorage\n",
    "torch\nLongStorage\n",
    "os\nsystem\n",
];

const KINDS: [&str; 5] = ["Float", "Half", "BFloat16", "Double", "Byte"];

impl Program {
    /// The bytes of the pickle.
    pub fn bytes(&self) -> Vec<u8> {
        let mut out = vec![0x80, 2];
        let repeated = self.repeated.map(|(at, times, more)| {
            let times = usize::from(times) << if more { 4 } else { 0 };
            (usize::from(at) % self.ops.len().max(1), times)
        });
        for (index, op) in self.ops.iter().enumerate() {
            let from = out.len();
            op.write(&mut out);
            if let Some((_, times)) = repeated.filter(|(at, _)| *at == index) {
                let once = out[from..].to_vec();
                // No longer than the longest that is read.
                let times = times.min((1 << 22) / once.len().max(1));
                out.extend(once.repeat(times));
            }
        }
        if self.ends {
            out.push(b'.');
        }
        out
    }
}

impl Op {
    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Mark => out.push(b'('),
            Self::Pop => out.push(b'0'),
            Self::PopMark => out.push(b'1'),
            Self::Dup => out.push(b'2'),
            Self::None => out.push(b'N'),
            Self::Int(n) => {
                out.push(b'J');
                out.extend(n.to_le_bytes());
            }
            Self::Long(n) => long(out, n.0),
            Self::Name(which) => text(out, NAMES[usize::from(*which) % NAMES.len()]),
            Self::Text(words) => text(out, words),
            Self::LyingText(len, words) => {
                out.push(0x8d);
                out.extend(len.0.to_le_bytes());
                out.extend(words.as_bytes());
            }
            Self::LongText(len) => text(out, &"k".repeat(*len as usize % (1 << 20))),
            Self::EmptyTuple => out.push(b')'),
            Self::EmptyList => out.push(b']'),
            Self::EmptyDict => out.push(b'}'),
            Self::Tuple => out.push(b't'),
            Self::Tuple1 => out.push(0x85),
            Self::Tuple2 => out.push(0x86),
            Self::Tuple3 => out.push(0x87),
            Self::List => out.push(b'l'),
            Self::Dict => out.push(b'd'),
            Self::Append => out.push(b'a'),
            Self::Appends => out.push(b'e'),
            Self::SetItem => out.push(b's'),
            Self::SetItems => out.push(b'u'),
            Self::Put(at) => out.extend([b'q', *at]),
            Self::Get(at) => out.extend([b'h', *at]),
            Self::Memoize => out.push(0x94),
            Self::Global(which) => {
                out.push(b'c');
                out.extend(GLOBALS[usize::from(*which) % GLOBALS.len()].as_bytes());
            }
            Self::StackGlobal => out.push(0x93),
            Self::PersistentId => out.push(b'Q'),
            Self::Reduce => out.push(b'R'),
            Self::Build => out.push(b'b'),
            Self::Storage { key, kind, len } => {
                storage(out, key % 4, KINDS[usize::from(*kind) % KINDS.len()], len.0)
            }
            Self::Tensor(offset, shape, strides) => {
                // The storage is on the stack: put it into the memo, and call with it.
                out.extend([b'q', 250]);
                tensor(
                    out,
                    offset.0,
                    shape.iter().map(|s| s.0),
                    strides.iter().map(|s| s.0),
                    |out| {
                        out.extend([b'h', 250]);
                    },
                );
            }
            Self::Good { name, key, len } => {
                text(out, NAMES[usize::from(*name) % NAMES.len()]);
                let len = u64::from(*len % 16);
                tensor(out, 0, [len].into_iter(), [1].into_iter(), |out| {
                    storage(out, key % 4, "Float", len);
                });
            }
            Self::Bytes(bytes) => out.extend(bytes),
        }
    }
}

fn text(out: &mut Vec<u8>, words: &str) {
    out.push(b'X');
    out.extend((words.len() as u32).to_le_bytes());
    out.extend(words.as_bytes());
}

fn long(out: &mut Vec<u8>, n: u64) {
    out.extend([0x8a, 9]);
    out.extend(n.to_le_bytes());
    // Numbers of nine bytes are no sizes; the highest bit decides whether eight are enough.
    if n <= i64::MAX as u64 {
        let at = out.len() - 9;
        out[at] = 8;
    } else {
        out.push(0);
    }
}

fn storage(out: &mut Vec<u8>, key: u8, kind: &str, len: u64) {
    out.push(b'(');
    text(out, "storage");
    out.extend(format!("ctorch\n{kind}Storage\n").as_bytes());
    text(out, &key.to_string());
    text(out, "cpu");
    long(out, len);
    out.extend(b"tQ");
}

fn tensor(
    out: &mut Vec<u8>,
    offset: u64,
    shape: impl Iterator<Item = u64>,
    strides: impl Iterator<Item = u64>,
    storage: impl FnOnce(&mut Vec<u8>),
) {
    out.extend(b"ctorch._utils\n_rebuild_tensor_v2\n(");
    storage(out);
    long(out, offset);
    out.push(b'(');
    shape.for_each(|size| long(out, size));
    out.extend(b"t(");
    strides.for_each(|stride| long(out, stride));
    out.extend(b"t\x89}tR");
}

//! Checkpoints with random weights, written as torch and safetensors write them.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use half::{bf16, f16};
use img2pose_export::architecture::{Architecture, Block, Stage};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

/// A network that is small enough to run in a blink.
pub fn tiny() -> Architecture {
    network(Block::Basic, [2, 2, 2, 2], 8, [8, 12, 16, 24], 8, [16, 16], 8)
}

/// The published network.
pub fn official() -> Architecture {
    network(
        Block::Basic,
        [2, 2, 2, 2],
        64,
        [64, 128, 256, 512],
        256,
        [1024, 1024],
        256,
    )
}

/// A narrow ResNet-50.
pub fn resnet50() -> Architecture {
    network(Block::Bottleneck, [3, 4, 6, 3], 8, [4, 8, 8, 16], 8, [16, 16], 8)
}

fn network(
    block: Block,
    blocks: [usize; 4],
    stem: usize,
    widths: [usize; 4],
    fpn: usize,
    head: [usize; 2],
    pose_hidden: usize,
) -> Architecture {
    let growth = if block == Block::Basic { 1 } else { 4 };
    let stage = |i: usize| Stage {
        blocks: blocks[i],
        width: widths[i],
        channels: growth * widths[i],
    };
    Architecture {
        block,
        stem,
        stages: [0, 1, 2, 3].map(stage),
        fpn,
        class_head: head,
        pose_head: head,
        pose_hidden,
    }
}

/// Type in which a checkpoint stores its numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Stored {
    F32,
    F16,
    Bf16,
}

/// How a checkpoint is written.
#[derive(Clone, Debug)]
pub struct Style {
    /// Before every name.
    pub prefix: &'static str,
    /// Whether the FPN is spelled as torchvision 0.8 did.
    pub old_fpn: bool,
    /// Whether the state dict is under `fpn_model`, with other things beside it.
    pub wrapped: bool,
    pub stored: Stored,
}

impl Default for Style {
    /// As img2pose's own training code saves.
    fn default() -> Self {
        Self {
            prefix: "module.",
            old_fpn: false,
            wrapped: true,
            stored: Stored::F32,
        }
    }
}

/// A tensor of a checkpoint: name and shape.
pub type Entry = (String, Vec<usize>);

/// The tensors of a checkpoint, as a style names them.
pub fn entries(architecture: &Architecture, style: &Style) -> Vec<Entry> {
    let mut entries = architecture.tensors();
    entries.push((
        "roi_heads.box_predictor.dof_pred.1.num_batches_tracked".to_owned(),
        vec![],
    ));
    for (name, _) in &mut entries {
        if style.old_fpn && name.starts_with("backbone.fpn.") {
            *name = name.replace(".0.weight", ".weight").replace(".0.bias", ".bias");
        }
        *name = format!("{}{name}", style.prefix);
    }
    entries
}

/// Numbers of a tensor: the same for the same name, whatever its spelling. Scaled so that signals neither vanish nor
/// explode, with scores on both sides of every threshold.
pub fn numbers(name: &str, shape: &[usize]) -> Vec<f32> {
    let name = name.trim_start_matches("module.");
    let parts: Vec<&str> = name.split('.').collect();
    // Both spellings of an FPN tensor are the same tensor.
    let key: String = match parts[..] {
        ["backbone", "fpn", blocks, level, what] => format!("backbone.fpn.{blocks}.{level}.0.{what}"),
        _ => name.to_owned(),
    };
    let mut random = Random::new(&key);
    let count: usize = shape.iter().product();
    let (low, high) = match key.rsplit('.').next() {
        Some("running_var") => (0.5, 1.5),
        Some("running_mean") => (-0.2, 0.2),
        Some("bias") => (-0.1, 0.1),
        // One dimension: the factor of a batch norm. Small at the end of a block, so that sums over blocks do not grow.
        _ if shape.len() == 1 && (key.contains(".bn2.") || key.contains(".bn3.")) => (0.1, 0.3),
        _ if shape.len() == 1 => (0.7, 1.3),
        _ => {
            let inputs = shape.iter().skip(1).product::<usize>().max(1) as f32;
            let gain = match () {
                () if key.contains("bbox_pred") => 0.3,
                () if key.contains("cls_score") => 0.3,
                () if key.contains("dof_pred.3") => 0.05,
                () => 1.0,
            };
            let bound = gain * (6.0 / inputs).sqrt();
            (-bound, bound)
        }
    };
    (0..count).map(|_| low + (high - low) * random.next()).collect()
}

/// A linear congruential generator (Knuth's MMIX), seeded by a text.
pub struct Random(u64);

impl Random {
    pub fn new(seed: &str) -> Self {
        Self(seed.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
        }))
    }

    /// From 0 to 1.
    pub fn next(&mut self) -> f32 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 40) as f32 / (1u64 << 24) as f32
    }
}

/// Writes a torch checkpoint of random numbers.
pub fn write_pth(path: &Path, entries: &[Entry], style: &Style) {
    write_pth_of(path, entries, style, &numbers);
}

/// Writes a torch checkpoint of what `numbers` gives for the name and shape of each tensor.
pub fn write_pth_of(
    path: &Path,
    entries: &[Entry],
    style: &Style,
    numbers: &dyn Fn(&str, &[usize]) -> Vec<f32>,
) {
    let pickle = checkpoint_pickle(entries, style);
    let mut zip = TorchZip::create(path, &pickle);
    for (index, (name, shape)) in entries.iter().enumerate() {
        zip.entry(
            &format!("data/{index}"),
            &bytes(name, shape, style.stored, numbers),
        );
    }
    zip.finish();
}

/// Writes a safetensors checkpoint.
pub fn write_safetensors(path: &Path, entries: &[Entry], style: &Style) {
    let dtype = match style.stored {
        Stored::F32 => "F32",
        Stored::F16 => "F16",
        Stored::Bf16 => "BF16",
    };
    let mut at = 0;
    let mut header = BTreeMap::new();
    let mut data = Vec::new();
    for (name, shape) in entries {
        let is_count = name.ends_with("num_batches_tracked");
        let bytes = bytes(name, shape, style.stored, &numbers);
        let dtype = if is_count { "I64" } else { dtype };
        let offsets = [at, at + bytes.len()];
        header.insert(
            name,
            serde_json::json!({ "dtype": dtype, "shape": shape, "data_offsets": offsets }),
        );
        at += bytes.len();
        data.extend(bytes);
    }
    let header = serde_json::to_vec(&header).unwrap();
    let mut file = BufWriter::new(File::create(path).unwrap());
    file.write_all(&(header.len() as u64).to_le_bytes()).unwrap();
    file.write_all(&header).unwrap();
    file.write_all(&data).unwrap();
    file.flush().unwrap();
}

fn bytes(
    name: &str,
    shape: &[usize],
    stored: Stored,
    numbers: &dyn Fn(&str, &[usize]) -> Vec<f32>,
) -> Vec<u8> {
    if name.ends_with("num_batches_tracked") {
        return 11752i64.to_le_bytes().to_vec();
    }
    let numbers = numbers(name, shape);
    match stored {
        Stored::F32 => numbers.iter().flat_map(|n| n.to_le_bytes()).collect(),
        Stored::F16 => numbers
            .iter()
            .flat_map(|n| f16::from_f32(*n).to_le_bytes())
            .collect(),
        Stored::Bf16 => numbers
            .iter()
            .flat_map(|n| bf16::from_f32(*n).to_le_bytes())
            .collect(),
    }
}

/// The archive of a torch file.
pub struct TorchZip(ZipWriter<BufWriter<File>>);

impl TorchZip {
    pub fn create(path: &Path, pickle: &[u8]) -> Self {
        let mut zip = Self(ZipWriter::new(BufWriter::new(File::create(path).unwrap())));
        zip.entry("data.pkl", pickle);
        zip.entry("byteorder", b"little");
        // Without it torch does not read the file.
        zip.entry("version", b"3\n");
        zip
    }

    pub fn entry(&mut self, name: &str, bytes: &[u8]) {
        // torch stores, it does not compress.
        let stored = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
        self.0.start_file(format!("archive/{name}"), stored).unwrap();
        self.0.write_all(bytes).unwrap();
    }

    pub fn finish(self) {
        self.0.finish().unwrap().flush().unwrap();
    }
}

/// The pickle that `torch.save` makes of a checkpoint.
pub fn checkpoint_pickle(entries: &[Entry], style: &Style) -> Vec<u8> {
    let mut out = Pickle::default();
    if style.wrapped {
        out.op(b"}").text("step").int(11752).op(b"s").text("fpn_model");
    }
    out.op(b"ccollections\nOrderedDict\n)R(");
    for (index, (name, shape)) in entries.iter().enumerate() {
        let storage = match (name.ends_with("num_batches_tracked"), style.stored) {
            (true, _) => "LongStorage",
            (_, Stored::F32) => "FloatStorage",
            (_, Stored::F16) => "HalfStorage",
            (_, Stored::Bf16) => "BFloat16Storage",
        };
        out.text(name).tensor(storage, index, shape);
    }
    out.op(b"u");
    // `_metadata`, as nn.Module.state_dict leaves it.
    out.op(b"}")
        .text("_metadata")
        .op(b"ccollections\nOrderedDict\n)R")
        .op(b"sb");
    if style.wrapped {
        out.op(b"s");
    }
    out.op(b".");
    out.0
}

/// Pickle of protocol 2 in the making.
pub struct Pickle(pub Vec<u8>);

impl Default for Pickle {
    fn default() -> Self {
        Self(vec![0x80, 2])
    }
}

impl Pickle {
    pub fn op(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.extend_from_slice(bytes);
        self
    }

    pub fn text(&mut self, text: &str) -> &mut Self {
        self.op(b"X")
            .op(&(text.len() as u32).to_le_bytes())
            .op(text.as_bytes())
    }

    pub fn int(&mut self, int: usize) -> &mut Self {
        self.op(b"J").op(&(int as i32).to_le_bytes())
    }

    /// A contiguous tensor that has a storage of its own.
    pub fn tensor(&mut self, storage: &str, key: usize, shape: &[usize]) -> &mut Self {
        self.op(b"ctorch._utils\n_rebuild_tensor_v2\n((").text("storage");
        self.op(format!("ctorch\n{storage}\n").as_bytes())
            .text(&key.to_string())
            .text("cpu");
        self.int(shape.iter().product()).op(b"tQ").int(0).op(b"(");
        for &dim in shape {
            self.int(dim);
        }
        self.op(b"t(");
        for axis in 0..shape.len() {
            self.int(shape[axis + 1..].iter().product());
        }
        self.op(b"t\x89ccollections\nOrderedDict\n)RtR")
    }
}

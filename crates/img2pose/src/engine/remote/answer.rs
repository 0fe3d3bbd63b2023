//! What a server answers, checked: nothing of it is believed.

use prost::bytes::Bytes;

use super::proto::{InferResponse, InferTensor};
use crate::contract::{CLASS_SCORES, POSE_REGRESSION, PROPOSAL_FRAMES, PROPOSALS};
use crate::error::Error;
use crate::finite::are_finite;
use crate::model::server_graph::{self as server, CONTRACT, hex};
use crate::origin::Origin;

/// The tensors of a batch.
#[derive(Debug, Default)]
pub(super) struct Answer {
    pub proposals: Vec<[f32; 4]>,
    /// Index in the batch of each proposal's frame.
    pub frames: Vec<usize>,
    pub scores: Vec<f32>,
    pub poses: Vec<[f32; 6]>,
}

/// A tensor of the answer: its shape, and its elements, little-endian.
struct Raw {
    shape: Vec<i64>,
    bytes: Vec<u8>,
}

impl Answer {
    /// Reads the answer to a batch of `batch` frames, which must come from the model that `contract` stands for.
    ///
    /// # Errors
    /// [`Error::OutputShape`], [`Error::NotFinite`], and [`Error::Server`] for another model, a tensor that is missing or of other
    /// elements, and frames that the batch does not have.
    pub fn read(
        response: &InferResponse,
        batch: usize,
        contract: &[u8; 16],
        origin: &Origin,
    ) -> Result<Self, Error> {
        // First: of another model nothing else is worth a look.
        let found = raw(response, CONTRACT, 1, origin)?;
        if found.bytes != contract {
            return Err(wrong(
                origin,
                format!(
                    "the model there has contract {}, this one has {}: it is made of another file; write the server's anew with \
                     `img2pose serve-model`, or set the model here to the file that it was made of",
                    hex(&found.bytes[..found.bytes.len().min(16)]),
                    hex(contract)
                ),
            ));
        }
        let frames = raw(response, PROPOSAL_FRAMES, 8, origin)?;
        let count = frames.bytes.len() / 8;
        expect(origin, PROPOSAL_FRAMES, &frames.shape, count, 1, "[proposals]")?;
        let mut last = 0;
        let frames = numbers::<8>(&frames.bytes).map(|bytes| {
            let number = i64::from_le_bytes(bytes);
            let frame = usize::try_from(number).ok().filter(|frame| (last..batch).contains(frame));
            last = frame.unwrap_or(batch);
            frame.ok_or_else(|| {
                wrong(
                    origin,
                    format!("it gave '{PROPOSAL_FRAMES}' with {number} in it, expected rising numbers below {batch}"),
                )
            })
        });
        let frames = frames.collect::<Result<Vec<_>, _>>()?;
        let proposals = floats(response, PROPOSALS, Some(count), 4, origin)?;
        let scores = floats(response, CLASS_SCORES, Some(count), 1, origin)?;
        let poses = floats(response, POSE_REGRESSION, None, 6, origin)?;
        Ok(Self {
            proposals: proposals.as_chunks().0.to_vec(),
            frames,
            scores,
            poses: poses.as_chunks().0.to_vec(),
        })
    }
}

fn wrong(origin: &Origin, reason: String) -> Error {
    Error::Server {
        server: origin.path.display().to_string(),
        reason,
    }
}

/// `rows` rows, or any number, of `columns` finite numbers.
fn floats(
    response: &InferResponse,
    name: &str,
    rows: Option<usize>,
    columns: usize,
    origin: &Origin,
) -> Result<Vec<f32>, Error> {
    let Raw { shape, bytes } = raw(response, name, 4, origin)?;
    let numbers: Vec<f32> = numbers::<4>(&bytes).map(f32::from_le_bytes).collect();
    let rows = rows.unwrap_or(numbers.len() / columns);
    let expected = match columns {
        1 => format!("[{rows}]"),
        _ => format!("[{rows}, {columns}]"),
    };
    expect(origin, name, &shape, rows, columns, &expected)?;
    match are_finite(&numbers) {
        true => Ok(numbers),
        false => Err(origin.not_finite(name)),
    }
}

/// Fails unless `shape` is `[rows, columns]`, where a side of 1 may be left out or added: some servers do.
fn expect(
    origin: &Origin,
    name: &str,
    shape: &[i64],
    rows: usize,
    columns: usize,
    expected: &str,
) -> Result<(), Error> {
    let (rows, columns) = (rows as i64, columns as i64);
    let is_right = match *shape {
        [first] => columns == 1 && first == rows,
        [first, second] => (first, second) == (rows, columns),
        _ => false,
    };
    match is_right {
        true => Ok(()),
        false => Err(origin.wrong_shape(name, shape, expected.to_owned())),
    }
}

fn numbers<const N: usize>(bytes: &[u8]) -> impl Iterator<Item = [u8; N]> {
    bytes.as_chunks::<N>().0.iter().copied()
}

/// The elements of output `place` in the list of the message. Servers leave out the entry of a tensor that has none, or put it
/// elsewhere: what is empty is passed over, and the rest keeps its order.
fn listed(response: &InferResponse, place: usize) -> Option<&Bytes> {
    let has_elements = |output: &&InferTensor| !output.shape.contains(&0);
    let before = response.outputs[..place].iter().filter(has_elements).count();
    let mut listed = response
        .raw_output_contents
        .iter()
        .filter(|bytes| !bytes.is_empty());
    has_elements(&&response.outputs[place])
        .then(|| listed.nth(before))
        .flatten()
}

/// The output `name`, whose elements have `size` bytes; as many of them as its shape says.
fn raw(response: &InferResponse, name: &str, size: usize, origin: &Origin) -> Result<Raw, Error> {
    let place = response.outputs.iter().position(|output| output.name == name);
    let Some(place) = place else {
        let names: Vec<&str> = response
            .outputs
            .iter()
            .map(|output| output.name.as_str())
            .collect();
        return Err(wrong(
            origin,
            format!(
                "it gave {} and no '{name}'; the model there is to be made with `img2pose serve-model`",
                if names.is_empty() {
                    "nothing".to_owned()
                } else {
                    names.join(", ")
                }
            ),
        ));
    };
    let output = &response.outputs[place];
    let elements = server::outputs().into_iter().find(|tensor| tensor.name == name);
    let elements = elements.map_or("", |tensor| tensor.elements);
    if output.datatype != elements {
        return Err(wrong(
            origin,
            format!("it gave '{name}' of {}, expected {elements}", output.datatype),
        ));
    }
    let bytes = match (&output.contents, listed(response, place)) {
        (_, Some(bytes)) => bytes.to_vec(),
        (Some(contents), None) => match elements {
            "FP32" => contents
                .fp32_contents
                .iter()
                .flat_map(|n| n.to_le_bytes())
                .collect(),
            "INT64" => contents
                .int64_contents
                .iter()
                .flat_map(|n| n.to_le_bytes())
                .collect(),
            // What is no byte is no number of the contract either.
            _ => contents
                .uint_contents
                .iter()
                .map(|&n| u8::try_from(n).unwrap_or(0))
                .collect(),
        },
        // A message has nothing for a tensor without elements.
        (None, None) => Vec::new(),
    };
    let count = output.shape.iter().try_fold(1_usize, |count, &side| {
        count.checked_mul(usize::try_from(side).ok()?)
    });
    if count.and_then(|count| count.checked_mul(size)) != Some(bytes.len()) {
        let expected = format!(
            "one of as many elements as it sent: {} of {size} bytes",
            bytes.len() / size
        );
        return Err(origin.wrong_shape(name, &output.shape, expected));
    }
    Ok(Raw {
        shape: output.shape.clone(),
        bytes,
    })
}

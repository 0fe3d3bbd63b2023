//! The engine that sends batches to an inference server: Open Inference Protocol version 2 over gRPC, as NVIDIA Triton, KServe,
//! OpenVINO Model Server and MLServer speak it.
//!
//! Frames go there as they are; what comes back are the proposals, their scores and the poses of those that may be faces, so that
//! this engine ends where all do. It needs no ONNX Runtime.

mod address;
mod answer;
mod client;
mod connection;
mod fault;
mod proto;
mod samples;

use std::path::PathBuf;
use std::sync::Arc;

use prost::bytes::Bytes;

use super::chosen::{Rows, choose};
use super::{Engine, Network, Opened, Setting};
use crate::batch::{Input, Intake};
use crate::cancel::Canceller;
use crate::contract::IMAGE_SIZE;
use crate::error::Error;
use crate::footprint::Footprint;
use crate::model::server_graph::{self as server, COLOURS, PIXELS};
use crate::model::{Model, RcnnFacts};
use crate::options::{DetectorOptions, ExecutionProvider, Precision, Selection};
use crate::origin::Origin;
use crate::rcnn::ScoredProposal;
use crate::server::ServerOptions;
use crate::shapes::Shapes;
use crate::times::{Clock, StageTimes};
pub(crate) use connection::Connection;
use proto::{InferRequest, InferTensor, ModelRequest, RequestedOutput};
use samples::Factors;

/// What the execution provider of a detector is called whose network runs at a server.
pub(crate) const NAME: &str = "server";

/// A network at a server.
struct RemoteEngine {
    facts: RcnnFacts,
    connection: Arc<Connection>,
    model: ModelRequest,
    requests: usize,
}

/// Loads nothing: connects to the server of `options` that runs `model`, or takes `connection`, which is one.
///
/// # Errors
/// Options that contradict each other, a model of another architecture, and those of [`Connection::open`].
pub(crate) fn open(
    model: &Model,
    options: &DetectorOptions,
    server: &ServerOptions,
    connection: Option<Arc<Connection>>,
    pool: Arc<rayon::ThreadPool>,
) -> Result<(Opened, Arc<Connection>), Error> {
    check(options)?;
    let facts = model.rcnn_facts()?.clone();
    let precision = model.precision(options.precision)?;
    let origin = Origin {
        // What errors name as the place where the tensors come from.
        path: PathBuf::from(format!("{} (model {})", server.url, server.model)),
        precision,
    };
    let contract = model.server_contract();
    let connection = match connection {
        Some(connection) => connection,
        None => {
            let side = facts.contract.size_divisor;
            let trial = |model: &ModelRequest| trial(model, side);
            Arc::new(Connection::open(server, &origin, contract, trial)?)
        }
    };
    let engine = RemoteEngine {
        facts,
        connection: connection.clone(),
        model: ModelRequest {
            name: server.model.clone(),
            version: server.version.clone().unwrap_or_default(),
        },
        requests: server.requests,
    };
    let opened = Opened {
        setting: Setting {
            provider: ExecutionProvider::Auto,
            name: NAME,
            origin: Arc::new(origin),
            shapes: Shapes::Free,
            turns: None,
            pools_regions: false,
            footprint: Footprint::UNKNOWN,
            pool,
            canceller: Canceller::without_runtime(),
        },
        network: Network::Rcnn(Box::new(engine)),
        passed_over: Vec::new(),
    };
    Ok((opened, connection))
}

/// Options that say how this machine computes say nothing of a server.
fn check(options: &DetectorOptions) -> Result<(), Error> {
    let refused = |option, found: &str, expected| {
        Err(Error::Option {
            option,
            found: found.to_owned(),
            expected,
        })
    };
    if options.execution_provider != ExecutionProvider::Auto {
        return refused(
            "execution_provider",
            options.execution_provider.name(),
            "auto: the network runs at a server, which has providers of its own",
        );
    }
    if options.plugin.is_some() {
        return refused("plugin", "set", "none: the network runs at a server");
    }
    if options.whole {
        return refused("whole", "true", "false: the network runs at a server");
    }
    match options.precision {
        Precision::Auto | Precision::Fp32 | Precision::Int8 => Ok(()),
        other => refused(
            "precision",
            other.name(),
            "auto, or fp32 or int8 for the file that the server's model was made of: the network runs there",
        ),
    }
}

/// A batch of one blank frame that is as small as can be.
fn trial(model: &ModelRequest, side: u32) -> InferRequest {
    let side = side as usize;
    let factors = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [0.0; 3]];
    request(
        model,
        vec![0; side * side * 3],
        [1, side, side],
        &factors,
        [side as i64; 2],
    )
}

/// A batch of `[frames, height, width]` samples.
fn request(
    model: &ModelRequest,
    samples: Vec<u8>,
    [frames, height, width]: [usize; 3],
    factors: &Factors,
    image_size: [i64; 2],
) -> InferRequest {
    let tensor = |name: &str, shape: Vec<i64>| InferTensor {
        name: name.to_owned(),
        datatype: server::inputs()
            .iter()
            .find(|tensor| tensor.name == name)
            .map_or(String::new(), |tensor| tensor.elements.to_owned()),
        shape,
        contents: None,
    };
    let colours: Vec<u8> = factors
        .as_flattened()
        .iter()
        .flat_map(|n| n.to_le_bytes())
        .collect();
    let size: Vec<u8> = image_size.iter().flat_map(|n| n.to_le_bytes()).collect();
    InferRequest {
        model_name: model.name.clone(),
        model_version: model.version.clone(),
        id: String::new(),
        inputs: vec![
            tensor(PIXELS, vec![frames as i64, height as i64, width as i64, 3]),
            tensor(COLOURS, vec![4, 3]),
            tensor(IMAGE_SIZE, vec![2]),
        ],
        outputs: server::outputs()
            .iter()
            .map(|tensor| RequestedOutput {
                name: tensor.name.to_owned(),
            })
            .collect(),
        raw_input_contents: vec![Bytes::from(samples), Bytes::from(colours), Bytes::from(size)],
    }
}

impl Engine for RemoteEngine {
    type Found = ScoredProposal;

    fn intake(&self) -> Intake {
        Intake::Frames
    }

    /// One crosses the network or waits there while another is computed.
    fn batches_in_flight(&self) -> usize {
        self.requests
    }

    fn infer(
        &mut self,
        setting: &Setting,
        batch: Input<'_>,
        selection: &Selection,
        found: &mut [Vec<ScoredProposal>],
        times: &mut StageTimes,
    ) -> Result<(), Error> {
        let mut clock = Clock::start();
        let (conversion, frames) = batch.raw().ok_or_else(|| {
            Error::Batch(
                "a server takes whole frames, of batches that the detector's batch_maker has made".to_owned(),
            )
        })?;
        let mut pixels = Vec::new();
        samples::write(conversion, frames, &mut pixels)?;
        let [height, width] = samples::upright(conversion);
        let size = [conversion.size.height, conversion.size.width].map(i64::from);
        let shape = [batch.len(), height, width];
        let request = request(&self.model, pixels, shape, &samples::factors(conversion), size);
        let answer = self.connection.ask(&request, batch.len(), &setting.canceller)?;
        clock.lap(&mut times.dense);

        let contract = &self.facts.contract;
        let rows = Rows {
            proposals: &answer.proposals,
            frames: &answer.frames,
            scores: &answer.scores,
            poses: &answer.poses,
        };
        let most = batch.proposals(contract.proposals.post_nms_top_n);
        choose(&rows, &setting.origin, contract, selection, most, found)?;
        clock.lap(&mut times.proposals);
        Ok(())
    }
}

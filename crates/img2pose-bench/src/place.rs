//! Where the network runs, as the command line names it.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use anyhow::{Result, bail};
use img2pose::{Detector, DetectorOptions, Error, ExecutionProvider, Precision, runtime};

/// An execution provider and the precision it computes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    pub provider: ExecutionProvider,
    pub precision: Precision,
}

const PRECISIONS: [Precision; 4] = [Precision::Fp32, Precision::Fp16, Precision::Bf16, Precision::Int8];

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = format!("{}:{}", self.provider.name(), self.precision.name());
        f.pad(&text)
    }
}

impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (provider, precision) = text.split_once(':').unwrap_or((text, "fp32"));
        let provider = ExecutionProvider::all().find(|known| known.name() == provider);
        let precision = PRECISIONS.into_iter().find(|known| known.name() == precision);
        match (provider, precision) {
            (Some(provider), Some(precision)) => Ok(Self { provider, precision }),
            _ => Err(
                "expected cpu, openvino, cuda, tensorrt or webgpu, and after a colon fp32, fp16, bf16 or int8, such as openvino:bf16"
                    .to_owned(),
            ),
        }
    }
}

/// Every place that the loaded ONNX Runtime has and where a detector opens. What fails is named on stderr.
pub fn available(options: impl Fn(Place) -> DetectorOptions, model: &Path) -> Result<Vec<Place>> {
    let runtime = runtime::load(None, None)?;
    let mut places = Vec::new();
    for provider in ExecutionProvider::all() {
        // A plugin's library would have to be named.
        if provider == ExecutionProvider::Plugin || !provider.is_built_in(runtime)? {
            continue;
        }
        for &precision in provider.precisions() {
            let place = Place { provider, precision };
            match Detector::open(model, options(place)) {
                Ok(_) => places.push(place),
                Err(error @ (Error::Provider { .. } | Error::Precision { .. })) => {
                    eprintln!("{place} is left out: {error}")
                }
                Err(error) => bail!("{place}: {error}"),
            }
        }
    }
    Ok(places)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_a_provider_and_maybe_a_precision() {
        let place: Place = "openvino:bf16".parse().unwrap();
        assert_eq!(
            (place.provider, place.precision),
            (ExecutionProvider::OpenVino, Precision::Bf16)
        );
        assert_eq!("cpu".parse::<Place>().unwrap().to_string(), "cpu:fp32");
        for bad in ["", "gpu", "cpu:", "cpu:auto", "auto", "cuda:fp8"] {
            assert!(bad.parse::<Place>().is_err(), "{bad}");
        }
    }
}

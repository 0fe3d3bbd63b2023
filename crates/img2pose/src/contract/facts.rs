//! What the contracts of all architectures have in common.

use super::images::ImageFacts;
use super::{Contract, PairContract};

/// The facts of a model file, by architecture.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Facts<'m> {
    /// An img2pose network: contract version 1.
    Img2pose(&'m Contract),
    /// Two networks that find and look: contract version 2.
    FindAndLook(&'m PairContract),
}

impl<'m> Facts<'m> {
    /// Those of an img2pose network; `None`: it is another architecture.
    #[must_use]
    pub fn img2pose(self) -> Option<&'m Contract> {
        match self {
            Self::Img2pose(contract) => Some(contract),
            Self::FindAndLook(_) => None,
        }
    }

    /// Version of the contract.
    #[must_use]
    pub fn contract_version(self) -> u32 {
        match self {
            Self::Img2pose(contract) => contract.contract_version,
            Self::FindAndLook(contract) => contract.contract_version,
        }
    }

    /// Name of the architecture, such as `resnet18-fpn` or `find-and-look`.
    #[must_use]
    pub fn architecture(self) -> &'m str {
        match self {
            Self::Img2pose(contract) => &contract.architecture,
            Self::FindAndLook(contract) => &contract.architecture,
        }
    }

    /// Licence of the weights, in words.
    #[must_use]
    pub fn licence(self) -> &'m str {
        match self {
            Self::Img2pose(contract) => &contract.licence,
            Self::FindAndLook(contract) => &contract.licence,
        }
    }

    /// How frames become network images.
    #[must_use]
    pub fn images(self) -> ImageFacts {
        match self {
            Self::Img2pose(contract) => contract.images(),
            Self::FindAndLook(contract) => contract.images(),
        }
    }

    /// Name of the first field in which the two differ.
    pub(crate) fn first_difference(self, other: &Self) -> Option<String> {
        let facts = |facts: Self| match facts {
            Self::Img2pose(contract) => serde_json::to_value(contract).unwrap_or_default(),
            Self::FindAndLook(contract) => serde_json::to_value(contract).unwrap_or_default(),
        };
        let (here, there) = (facts(self), facts(*other));
        let mut fields = here.as_object()?.iter();
        fields
            .find(|(name, value)| there.get(name) != Some(value))
            .map(|(name, _)| name.clone())
    }
}

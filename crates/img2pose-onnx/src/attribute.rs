//! Attributes of nodes by their kind.

use prost::bytes::Bytes;

use crate::proto::{AttributeProto, attribute_type};

/// An integer.
pub fn int(name: &str, value: i64) -> AttributeProto {
    AttributeProto {
        i: Some(value),
        ..of(name, attribute_type::INT)
    }
}

/// Several integers.
pub fn ints(name: &str, values: &[i64]) -> AttributeProto {
    AttributeProto {
        ints: values.to_vec(),
        ..of(name, attribute_type::INTS)
    }
}

/// A float.
pub fn float(name: &str, value: f32) -> AttributeProto {
    AttributeProto {
        f: Some(value),
        ..of(name, attribute_type::FLOAT)
    }
}

/// A text.
pub fn text(name: &str, value: &'static str) -> AttributeProto {
    AttributeProto {
        s: Some(Bytes::from_static(value.as_bytes())),
        ..of(name, attribute_type::STRING)
    }
}

fn of(name: &str, kind: i32) -> AttributeProto {
    AttributeProto {
        name: Some(name.to_owned()),
        r#type: Some(kind),
        ..AttributeProto::default()
    }
}

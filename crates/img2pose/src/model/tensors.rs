//! Tensors in foreign files: that they hold what their shape says, and that their numbers are numbers.

use img2pose_onnx::{TensorProto, data_type, shown};

/// Where the elements of a tensor lie that a file refers to: [`TensorProto::data_location`].
const EXTERNAL: i32 = 1;

/// Checks that the tensor's elements are in the file, as many as its shape says.
///
/// # Errors
/// A text that names the tensor.
pub(super) fn check(tensor: &TensorProto) -> Result<(), String> {
    let name = || shown(tensor.name());
    if tensor.data_location() == EXTERNAL {
        return Err(format!(
            "the numbers of tensor '{}' lie in another file, expected everything in one; save the model without external data",
            name()
        ));
    }
    let count = tensor
        .dims
        .iter()
        .try_fold(1_u64, |count, &side| count.checked_mul(u64::try_from(side).ok()?))
        .ok_or_else(|| {
            format!(
                "tensor '{}' has the impossible shape {:?}",
                name(),
                short(&tensor.dims)
            )
        })?;
    let Some(bytes) = bytes_of(tensor.data_type()) else {
        // Not read here; ONNX Runtime knows more types.
        return Ok(());
    };
    let (found, unit) = match &tensor.raw_data {
        Some(raw) => (raw.len() as u64, bytes),
        None => (numbers(tensor), 1),
    };
    if count.checked_mul(unit) == Some(found) {
        return Ok(());
    }
    let what = if unit == 1 && tensor.raw_data.is_none() {
        "numbers"
    } else {
        "bytes"
    };
    Err(format!(
        "tensor '{}' has {found} {what}, its shape {:?} needs {count} numbers{}; the file is damaged or incomplete",
        name(),
        short(&tensor.dims),
        if unit == 1 {
            String::new()
        } else {
            format!(" of {unit} bytes")
        },
    ))
}

/// Whether every number of a float tensor is finite.
pub(super) fn is_finite(tensor: &TensorProto) -> bool {
    if tensor.float_data.iter().any(|number| !number.is_finite())
        || tensor.double_data.iter().any(|number| !number.is_finite())
    {
        return false;
    }
    // In infinities and NaN all bits of the exponent are set.
    const HALF: u16 = 0x7c00;
    const BRAIN: u16 = 0x7f80;
    let words = |exponent: u16| {
        let raw = tensor.raw_data.as_deref().unwrap_or_default().as_chunks().0;
        let raw = raw.iter().map(|bytes| u16::from_le_bytes(*bytes));
        let typed = tensor.int32_data.iter().map(|&word| word as u16);
        // No early end: the loop is as fast as memory.
        raw.chain(typed)
            .fold(true, |good, word| good & (word & exponent != exponent))
    };
    let raw = tensor.raw_data.as_deref().unwrap_or_default();
    match tensor.data_type() {
        data_type::FLOAT => crate::finite::bytes_are_finite(raw),
        data_type::DOUBLE => raw
            .as_chunks()
            .0
            .iter()
            .all(|bytes| f64::from_le_bytes(*bytes).is_finite()),
        data_type::FLOAT16 => words(HALF),
        data_type::BFLOAT16 => words(BRAIN),
        _ => true,
    }
}

/// Bytes of an element; `None` for types that have none, or less than one.
fn bytes_of(element: i32) -> Option<u64> {
    Some(match element {
        data_type::UINT8 | data_type::INT8 | data_type::BOOL => 1,
        data_type::UINT16 | data_type::INT16 | data_type::FLOAT16 | data_type::BFLOAT16 => 2,
        data_type::FLOAT | data_type::INT32 | data_type::UINT32 => 4,
        data_type::INT64 | data_type::DOUBLE | data_type::UINT64 => 8,
        _ => return None,
    })
}

/// Elements that do not lie in `raw_data`.
fn numbers(tensor: &TensorProto) -> u64 {
    let count = match tensor.data_type() {
        data_type::FLOAT => tensor.float_data.len(),
        data_type::INT64 => tensor.int64_data.len(),
        data_type::DOUBLE => tensor.double_data.len(),
        data_type::UINT32 | data_type::UINT64 => tensor.uint64_data.len(),
        _ => tensor.int32_data.len(),
    };
    count as u64
}

/// The first dimensions: damaged files have thousands.
fn short(dims: &[i64]) -> &[i64] {
    &dims[..dims.len().min(8)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensor(element: i32, dims: &[i64], raw: &[u8]) -> TensorProto {
        TensorProto {
            dims: dims.to_vec(),
            data_type: Some(element),
            name: Some("w".to_owned()),
            raw_data: Some(raw.to_vec().into()),
            ..TensorProto::default()
        }
    }

    #[test]
    fn a_tensor_holds_what_its_shape_says() {
        for (dims, bytes, good) in [
            (&[2, 3][..], 24, true),
            (&[], 4, true),
            (&[0], 0, true),
            (&[2, 3], 20, false),
            (&[2, 3], 28, false),
            (&[2, 3], 0, false),
            (&[-1], 4, false),
            (&[i64::MAX, i64::MAX], 4, false),
            (&[1 << 62, 4], 0, false),
            (&[1 << 62], 0, false),
            (&[i64::MIN, 0], 0, false),
        ] {
            let checked = check(&tensor(data_type::FLOAT, dims, &vec![0; bytes]));
            assert_eq!(checked.is_ok(), good, "{dims:?} with {bytes} bytes: {checked:?}");
        }
        let numbers = |count| TensorProto {
            raw_data: None,
            float_data: vec![0.5; count],
            ..tensor(data_type::FLOAT, &[6], &[])
        };
        assert_eq!(check(&numbers(6)), Ok(()));
        let text = check(&numbers(5)).unwrap_err();
        assert!(
            text.contains("'w' has 5 numbers") && text.contains("needs 6"),
            "{text}"
        );
    }

    #[test]
    fn numbers_in_another_file_are_refused() {
        let elsewhere = TensorProto {
            data_location: Some(EXTERNAL),
            ..tensor(data_type::FLOAT, &[1], &[0; 4])
        };
        assert!(check(&elsewhere).unwrap_err().contains("another file"));
    }

    #[test]
    fn what_is_no_number_is_found_in_every_float_type() {
        let infinite: [(i32, &[u8]); 4] = [
            (data_type::FLOAT, &f32::NEG_INFINITY.to_le_bytes()),
            (data_type::FLOAT16, &half::f16::NAN.to_le_bytes()),
            (data_type::BFLOAT16, &half::bf16::INFINITY.to_le_bytes()),
            (data_type::DOUBLE, &f64::NAN.to_le_bytes()),
        ];
        for (element, bytes) in infinite {
            // At every place: a fast loop has a beginning, a middle and an end.
            for place in 0..70 {
                let mut raw = vec![0; 70 * bytes.len()];
                let good = tensor(element, &[70], &raw);
                assert!(is_finite(&good));
                raw[place * bytes.len()..][..bytes.len()].copy_from_slice(bytes);
                let bad = tensor(element, &[70], &raw);
                assert!(!is_finite(&bad), "{element} at {place}");
            }
        }
        let largest = tensor(
            data_type::FLOAT,
            &[2],
            &[f32::MAX.to_le_bytes(), f32::MIN.to_le_bytes()].concat(),
        );
        assert!(is_finite(&largest));
        // The same bits are integers here.
        let integers = tensor(data_type::INT32, &[1], &f32::NAN.to_le_bytes());
        assert!(is_finite(&integers));
        let typed = TensorProto {
            raw_data: None,
            float_data: vec![1.0, f32::NAN],
            ..tensor(data_type::FLOAT, &[2], &[])
        };
        assert!(!is_finite(&typed));
    }
}

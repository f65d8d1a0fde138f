//! Values as integers: what an aggregate tells apart, whatever its type.

use std::cmp::Ordering;
use std::hash::BuildHasher;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int64Array, StringBuilder};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type, Int64Type, TimeUnit};
use datafusion::common::{Result, exec_err, internal_err, plan_err};
use hashbrown::{DefaultHashBuilder, HashTable};

use crate::args::is_text;

/// How values of one type become codes and come back. Codes of numbers, dates and timestamps are ordered as they are;
/// codes of texts are places in a dictionary.
#[derive(Debug)]
pub enum Keys {
    /// Integers, dates and timestamps.
    Whole(DataType),
    /// Doubles; NaN is above all others.
    Double,
    /// Texts, ordered by their bytes.
    Text(Texts),
}

impl Keys {
    /// The type to which an argument is cast: bigint, date, timestamp in microseconds, double or varchar.
    pub fn coerced(function: &str, name: &str, given: &DataType) -> Result<DataType> {
        match given {
            text if is_text(text) => Ok(DataType::Utf8),
            DataType::Boolean => plan_err!("{function}: argument {name} is a boolean; cast it to bigint"),
            DataType::UInt64 => plan_err!("{function}: argument {name} must fit a bigint; cast it"),
            whole if whole.is_integer() => Ok(DataType::Int64),
            DataType::Date32 => Ok(DataType::Date32),
            DataType::Timestamp(_, zone) => Ok(DataType::Timestamp(TimeUnit::Microsecond, zone.clone())),
            number if number.is_numeric() => Ok(DataType::Float64),
            other => plan_err!(
                "{function}: argument {name} must be a number, text, date or timestamp, not {other}; cast it"
            ),
        }
    }

    /// For values of a type that `coerced` gave.
    pub fn new(values: &DataType) -> Self {
        match values {
            DataType::Utf8 => Self::Text(Texts::default()),
            DataType::Float64 => Self::Double,
            other => Self::Whole(other.clone()),
        }
    }

    /// The same, without any text.
    pub fn fresh(&self) -> Self {
        match self {
            Self::Whole(values) => Self::Whole(values.clone()),
            Self::Double => Self::Double,
            Self::Text(_) => Self::Text(Texts::default()),
        }
    }

    /// The type in which keys travel between the phases of an aggregation.
    pub fn state_type(values: &DataType) -> DataType {
        match values {
            DataType::Utf8 => DataType::Utf8,
            _ => DataType::Int64,
        }
    }

    /// Calls `add` with row and code of every value.
    pub fn read(&mut self, values: &ArrayRef, mut add: impl FnMut(usize, i64)) -> Result<()> {
        match self {
            Self::Whole(_) => {
                let whole = whole(values)?;
                for row in valid_rows(&whole) {
                    add(row, whole.value(row));
                }
            }
            Self::Double => {
                let Some(doubles) = values.as_primitive_opt::<Float64Type>() else {
                    return internal_err!("expected Float64, not {}", values.data_type());
                };
                for row in valid_rows(doubles) {
                    add(row, double_code(doubles.value(row)));
                }
            }
            Self::Text(texts) => {
                let Some(strings) = values.as_string_opt::<i32>() else {
                    return internal_err!("expected Utf8, not {}", values.data_type());
                };
                for row in valid_rows(strings) {
                    add(row, texts.code(strings.value(row))?);
                }
            }
        }
        Ok(())
    }

    /// Codes of the keys of a state, in their order.
    pub fn read_state(&mut self, keys: &ArrayRef) -> Result<Vec<i64>> {
        let mut codes = Vec::with_capacity(keys.len());
        match (self, keys.as_primitive_opt::<Int64Type>()) {
            (Self::Text(_), Some(_)) => return internal_err!("expected texts in a state"),
            (Self::Whole(_) | Self::Double, Some(keys)) => codes.extend_from_slice(keys.values()),
            (texts, None) => texts.read(keys, |_, code| codes.push(code))?,
        }
        Ok(codes)
    }

    /// The values of codes.
    pub fn decode(&self, codes: impl Iterator<Item = i64>) -> Result<ArrayRef> {
        match self {
            Self::Whole(DataType::Int64) => Ok(Arc::new(Int64Array::from_iter_values(codes))),
            Self::Whole(DataType::Date32) => {
                let days = cast(&Int64Array::from_iter_values(codes), &DataType::Int32)?;
                Ok(cast(&days, &DataType::Date32)?)
            }
            Self::Whole(other) => Ok(cast(&Int64Array::from_iter_values(codes), other)?),
            Self::Double => {
                Ok(Arc::new(arrow::array::Float64Array::from_iter_values(codes.map(code_double))))
            }
            Self::Text(texts) => {
                let mut strings = StringBuilder::new();
                codes.for_each(|code| strings.append_value(texts.text(code)));
                Ok(Arc::new(strings.finish()))
            }
        }
    }

    /// The same, where some have no value.
    pub fn decode_options(&self, codes: &[Option<i64>]) -> Result<ArrayRef> {
        let values = self.decode(codes.iter().flatten().copied())?;
        let mut place = 0;
        let places = codes.iter().map(|code| {
            code.map(|_| {
                place += 1;
                place - 1
            })
        });
        Ok(arrow::compute::take(&values, &places.collect::<arrow::array::UInt64Array>(), None)?)
    }

    /// The keys of a state.
    pub fn state(&self, codes: impl Iterator<Item = i64>) -> Result<ArrayRef> {
        match self {
            Self::Text(_) => self.decode(codes),
            Self::Whole(_) | Self::Double => Ok(Arc::new(Int64Array::from_iter_values(codes))),
        }
    }

    /// The order of the values of two codes.
    pub fn compare(&self, a: i64, b: i64) -> Ordering {
        match self {
            Self::Text(texts) => texts.text(a).cmp(texts.text(b)),
            Self::Whole(_) | Self::Double => a.cmp(&b),
        }
    }

    /// Whether there are many more texts than codes in use.
    pub fn is_sparse(&self, used: usize) -> bool {
        matches!(self, Self::Text(texts) if texts.len() > 4 * used + 1024)
    }

    /// Forgets texts whose codes are not in use; the others get new codes.
    pub fn forget(&mut self, used: &mut dyn Iterator<Item = &mut i64>) -> Result<()> {
        if let Self::Text(texts) = self {
            let mut kept = Texts::default();
            for code in used {
                *code = kept.code(texts.text(*code))?;
            }
            *texts = kept;
        }
        Ok(())
    }

    /// The bytes they hold.
    pub fn size(&self) -> usize {
        match self {
            Self::Text(texts) => texts.size(),
            Self::Whole(_) | Self::Double => 0,
        }
    }
}

fn valid_rows<A: Array>(array: &A) -> impl Iterator<Item = usize> + use<'_, A> {
    (0..array.len()).filter(|row| array.is_valid(*row))
}

/// Integers, dates and timestamps as 64-bit integers.
pub fn whole(values: &ArrayRef) -> Result<Int64Array> {
    match values.data_type() {
        DataType::Int64 | DataType::Timestamp(..) => {}
        DataType::Date32 => return whole(&cast(&cast(values, &DataType::Int32)?, &DataType::Int64)?),
        other => return internal_err!("expected an integer, a date or a timestamp, not {other}"),
    }
    Ok(values.to_data().into_builder().data_type(DataType::Int64).build().map(Int64Array::from)?)
}

/// The order of doubles as an order of integers (IEEE 754-2008, totalOrder); both zeros are one.
pub fn double_code(value: f64) -> i64 {
    let bits = if value == 0.0 { 0 } else { value.to_bits() as i64 };
    bits ^ ((bits >> 63) as u64 >> 1) as i64
}

/// The double of a code.
pub fn code_double(code: i64) -> f64 {
    f64::from_bits((code ^ ((code >> 63) as u64 >> 1) as i64) as u64)
}

/// A dictionary of texts: each has one code, in the order in which they came.
#[derive(Debug, Default)]
pub struct Texts {
    bytes: String,
    ends: Vec<usize>,
    places: HashTable<u32>,
    hasher: DefaultHashBuilder,
}

impl Texts {
    /// The code of a text.
    fn code(&mut self, text: &str) -> Result<i64> {
        let hash = self.hasher.hash_one(text);
        let at = |code: u32| text_at(&self.bytes, &self.ends, code as usize);
        if let Some(code) = self.places.find(hash, |code| at(*code) == text) {
            return Ok(i64::from(*code));
        }
        let Ok(code) = u32::try_from(self.ends.len()) else {
            return exec_err!("more than 4 billion texts in one partition; use more partitions");
        };
        self.places.insert_unique(hash, code, |code| self.hasher.hash_one(at(*code)));
        self.bytes.push_str(text);
        self.ends.push(self.bytes.len());
        Ok(i64::from(code))
    }

    /// The text of a code that `code` gave.
    pub fn text(&self, code: i64) -> &str {
        text_at(&self.bytes, &self.ends, code as usize)
    }

    fn len(&self) -> usize {
        self.ends.len()
    }

    fn size(&self) -> usize {
        self.bytes.capacity() + self.ends.capacity() * size_of::<usize>() + self.places.allocation_size()
    }
}

fn text_at<'a>(bytes: &'a str, ends: &[usize], code: usize) -> &'a str {
    let start = if code == 0 { 0 } else { ends[code - 1] };
    &bytes[start..ends[code]]
}

#[cfg(test)]
mod tests {
    use arrow::array::{Date32Array, Float64Array, StringArray, TimestampMicrosecondArray};

    use super::*;

    #[test]
    fn values_come_back_from_their_codes() {
        let arrays: [ArrayRef; 5] = [
            Arc::new(Int64Array::from(vec![Some(3), None, Some(i64::MIN), Some(3)])),
            Arc::new(Date32Array::from(vec![Some(20_000), None, Some(-1)])),
            Arc::new(TimestampMicrosecondArray::from(vec![Some(5), None, Some(-7)]).with_timezone("+08:00")),
            Arc::new(Float64Array::from(vec![Some(1.5), None, Some(f64::NEG_INFINITY), Some(f64::NAN)])),
            Arc::new(StringArray::from(vec![Some("b"), None, Some(""), Some("b"), Some("顾客")])),
        ];
        for array in arrays {
            let mut keys = Keys::new(array.data_type());
            let mut codes = vec![None; array.len()];
            keys.read(&array, |row, code| codes[row] = Some(code)).unwrap();
            assert_eq!(&keys.decode_options(&codes).unwrap(), &array);
            let state = keys.state(codes.iter().flatten().copied()).unwrap();
            assert_eq!(state.data_type(), &Keys::state_type(array.data_type()));
            let mut other = Keys::new(array.data_type());
            let travelled = other.read_state(&state).unwrap();
            let back = other.decode(travelled.into_iter()).unwrap();
            assert_eq!(&back, &keys.decode(codes.iter().flatten().copied()).unwrap());
        }
    }

    #[test]
    fn codes_of_doubles_are_in_the_order_of_doubles() {
        let values =
            [f64::NEG_INFINITY, -1e300, -1.0, -1e-300, 0.0, 1e-300, 1.0, 1e300, f64::INFINITY, f64::NAN];
        assert!(values.windows(2).all(|pair| double_code(pair[0]) < double_code(pair[1])));
        assert_eq!(double_code(-0.0), double_code(0.0));
    }

    #[test]
    fn texts_that_nobody_uses_are_forgotten() {
        let mut keys = Keys::Text(Texts::default());
        let texts: ArrayRef = Arc::new(StringArray::from_iter_values((0..5000).map(|i| format!("text {i}"))));
        let mut codes = Vec::new();
        keys.read(&texts, |_, code| codes.push(code)).unwrap();
        let before = keys.size();
        let mut used = vec![codes[4000], codes[7]];
        assert!(keys.is_sparse(used.len()) && !keys.is_sparse(2000));
        keys.forget(&mut used.iter_mut()).unwrap();
        assert!(keys.size() < before / 10);
        assert_eq!(keys.decode(used.into_iter()).unwrap().as_string::<i32>().value(0), "text 4000");
        assert_eq!(keys.compare(0, 1), Ordering::Less);
    }
}

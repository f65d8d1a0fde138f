//! `power` and `log` with a base by pure-Rust `libm`, in place of the engine's.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Float64Array};
use arrow::compute::binary;
use arrow::datatypes::{DataType, Float64Type};
use datafusion::common::{Result, internal_err, plan_err};
use datafusion::logical_expr::{
    ColumnarValue, Documentation, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};
use datafusion_macros::user_doc;

use crate::args::{column, evaluate, expect_arity, float_type};

#[user_doc(
    doc_section(label = "Numbers"),
    description = "The base to the power of the exponent, as double (of integers too), with the same bits on every machine.",
    syntax_example = "power(base, exponent)",
    alternative_syntax = "pow(base, exponent)",
    argument(name = "base", description = "Any number; NULL gives NULL."),
    argument(name = "exponent", description = "Any number; NULL gives NULL.")
)]
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct Power {
    signature: Signature,
    aliases: Vec<String>,
}

impl Default for Power {
    fn default() -> Self {
        Self { signature: Signature::user_defined(Volatility::Immutable), aliases: vec!["pow".to_string()] }
    }
}

impl ScalarUDFImpl for Power {
    fn name(&self) -> &str {
        "power"
    }

    fn aliases(&self) -> &[String] {
        &self.aliases
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        let names = ["base", "exponent"];
        expect_arity(self.name(), types, &names)?;
        types.iter().zip(names).map(|(data_type, name)| float_type(self.name(), name, data_type)).collect()
    }

    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Float64)
    }

    fn is_strict(&self) -> bool {
        true
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        evaluate(&args, |rows| {
            let (bases, exponents) = (floats(&args, 0, rows)?, floats(&args, 1, rows)?);
            Ok(Arc::new(binary::<_, _, _, Float64Type>(&bases, &exponents, libm::pow)?) as ArrayRef)
        })
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.doc()
    }
}

#[user_doc(
    doc_section(label = "Numbers"),
    description = "The logarithm of a number to a base, 10 when none is given, as double, with the same bits on every machine.",
    syntax_example = "log(base, x)",
    alternative_syntax = "log(x)",
    argument(name = "base", description = "Any number; NULL gives NULL."),
    argument(name = "x", description = "Any number; NULL gives NULL."),
    related_udf(name = "ln")
)]
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct Log {
    signature: Signature,
}

impl Default for Log {
    fn default() -> Self {
        Self { signature: Signature::user_defined(Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for Log {
    fn name(&self) -> &str {
        "log"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        let names: &[&str] = match types.len() {
            1 => &["x"],
            2 => &["base", "x"],
            given => return plan_err!("log(base, x) or log(x) takes 1 or 2 arguments, {given} given"),
        };
        types.iter().zip(names).map(|(data_type, name)| float_type(self.name(), name, data_type)).collect()
    }

    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Float64)
    }

    fn is_strict(&self) -> bool {
        true
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        evaluate(&args, |rows| {
            let first = floats(&args, 0, rows)?;
            let logarithms: Float64Array = if args.args.len() < 2 {
                first.unary(libm::log10)
            } else {
                binary(&first, &floats(&args, 1, rows)?, logarithm)?
            };
            Ok(Arc::new(logarithms) as ArrayRef)
        })
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.doc()
    }
}

/// The logarithm of `x` to `base`; bases 2 and 10 have exact values at their whole powers.
pub fn logarithm(base: f64, x: f64) -> f64 {
    if base == 2.0 {
        libm::log2(x)
    } else if base == 10.0 {
        libm::log10(x)
    } else {
        libm::log(x) / libm::log(base)
    }
}

fn floats(args: &ScalarFunctionArgs, index: usize, rows: usize) -> Result<Float64Array> {
    let array = column(args, index, rows)?;
    match array.as_primitive_opt::<Float64Type>() {
        Some(numbers) => Ok(numbers.clone()),
        None => internal_err!("argument {} must be Float64, found {}", index + 1, array.data_type()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exact_where_the_result_is() {
        assert_eq!(libm::pow(2.0, 10.0), 1024.0);
        assert_eq!(libm::pow(0.0, 0.0), 1.0);
        assert_eq!(logarithm(2.0, 1024.0), 10.0);
        assert_eq!(logarithm(10.0, 1e6), 6.0);
        assert!((logarithm(3.0, 81.0) - 4.0).abs() < 1e-15);
        assert!(logarithm(1.0, 1.0).is_nan());
    }
}

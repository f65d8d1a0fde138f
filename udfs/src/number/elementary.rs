//! `ln`, `log10`, `log2`, `log1p`, `exp`, `expm1` by pure-Rust `libm`, which gives the same bits on every
//! machine of an architecture; the C library of a platform does not. `sqrt` is exact in IEEE 754 and stays
//! with the engine.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray};
use arrow::datatypes::{DataType, Float64Type};
use datafusion::common::{Result, internal_err};
use datafusion::logical_expr::{
    ColumnarValue, DocSection, Documentation, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};

use crate::args::{column, evaluate, expect_arity, float_type};

/// One of the elementary functions of one number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Elementary {
    /// Natural logarithm.
    Ln,
    /// Logarithm to base 10.
    Log10,
    /// Logarithm to base 2.
    Log2,
    /// Natural logarithm of 1 + x, exact near 0.
    Log1p,
    /// e to the power of x.
    Exp,
    /// e to the power of x, minus 1, exact near 0.
    Expm1,
}

impl Elementary {
    /// All of them.
    pub const ALL: [Self; 6] = [Self::Ln, Self::Log10, Self::Log2, Self::Log1p, Self::Exp, Self::Expm1];

    /// The value at `x`, with the special values of IEEE 754 (`ln(0)` is -infinity, `ln(-1)` NaN).
    pub fn of(self, x: f64) -> f64 {
        match self {
            Self::Ln => libm::log(x),
            Self::Log10 => libm::log10(x),
            Self::Log2 => libm::log2(x),
            Self::Log1p => libm::log1p(x),
            Self::Exp => libm::exp(x),
            Self::Expm1 => libm::expm1(x),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Ln => "ln",
            Self::Log10 => "log10",
            Self::Log2 => "log2",
            Self::Log1p => "log1p",
            Self::Exp => "exp",
            Self::Expm1 => "expm1",
        }
    }

    fn description(self) -> &'static str {
        match self {
            Self::Ln => "The natural logarithm",
            Self::Log10 => "The logarithm to base 10",
            Self::Log2 => "The logarithm to base 2",
            Self::Log1p => "The natural logarithm of 1 + x, exact for small x",
            Self::Exp => "e to the power of x",
            Self::Expm1 => "e to the power of x, minus 1, exact for small x",
        }
    }
}

/// The SQL function of one [`Elementary`].
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct ElementaryFunction {
    function: Elementary,
    signature: Signature,
    documentation: Documentation,
}

impl ElementaryFunction {
    /// The SQL function that computes `function`.
    pub fn new(function: Elementary) -> Self {
        let section = DocSection { include: true, label: "Numbers", description: None };
        let description = format!(
            "{}, as double, with the same bits on every machine. Outside the domain the special values of IEEE 754 hold.",
            function.description()
        );
        let documentation = Documentation::builder(section, description, format!("{}(x)", function.name()))
            .with_argument("x", "Any number; NULL gives NULL.")
            .build();
        Self { function, signature: Signature::user_defined(Volatility::Immutable), documentation }
    }
}

impl ScalarUDFImpl for ElementaryFunction {
    fn name(&self) -> &str {
        self.function.name()
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        expect_arity(self.name(), types, &["x"])?;
        Ok(vec![float_type(self.name(), "x", &types[0])?])
    }

    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Float64)
    }

    fn is_strict(&self) -> bool {
        true
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        evaluate(&args, |rows| {
            let array = column(&args, 0, rows)?;
            let Some(numbers) = array.as_primitive_opt::<Float64Type>() else {
                return internal_err!("{}: expected Float64, found {}", self.name(), array.data_type());
            };
            Ok(Arc::new(numbers.unary::<_, Float64Type>(|x| self.function.of(x))) as ArrayRef)
        })
    }

    fn documentation(&self) -> Option<&Documentation> {
        Some(&self.documentation)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_and_special_values() {
        assert_eq!(Elementary::Ln.of(1.0), 0.0);
        assert_eq!(Elementary::Ln.of(0.0), f64::NEG_INFINITY);
        assert!(Elementary::Ln.of(-1.0).is_nan());
        assert_eq!(Elementary::Log10.of(1000.0), 3.0);
        assert_eq!(Elementary::Log2.of(8.0), 3.0);
        assert_eq!(Elementary::Log1p.of(1e-20), 1e-20);
        assert_eq!(Elementary::Expm1.of(1e-20), 1e-20);
        assert_eq!(Elementary::Exp.of(1000.0), f64::INFINITY);
    }

    #[test]
    fn bits_are_pinned() {
        // libm 0.2.16, within one unit in the last place; other bits here mean that published numbers change
        assert_eq!(Elementary::Ln.of(10.0).to_bits(), 0x4002_6bb1_bbb5_5516);
        assert_eq!(Elementary::Exp.of(1.0).to_bits(), 0x4005_bf0a_8b14_576a);
    }
}

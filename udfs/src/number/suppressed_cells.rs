//! `suppressed_cells`: which cells of a table of counts must not be published, so that small ones stay unknown.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanBuilder, ListBuilder};
use arrow::datatypes::{DataType, Field, Int64Type};
use datafusion::common::{Result, exec_err, internal_err, plan_err};
use datafusion::logical_expr::{
    ColumnarValue, Documentation, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};
use datafusion_macros::user_doc;

use crate::args::{column, evaluate, expect_arity, list_column};

#[user_doc(
    doc_section(label = "Numbers"),
    description = "For each cell of a table of counts whether it must be withheld, as a list of booleans: the cells below a minimum, and, so that no row or column gives one away by subtraction from its total, further small ones until the withheld cells of each row and column that hold anybody are none, or are two at least and together reach the minimum, or are all of it (complementary suppression). The last row holds the totals of the columns and is withheld only for its own sake.",
    syntax_example = "suppressed_cells(counts, columns, minimum)",
    sql_example = "```sql\nselect suppressed_cells([3, 40, 50, 30, 60, 70, 33, 100, 120], 3, 20);\n-- [true, true, false, true, true, false, false, false, false]\n```",
    argument(name = "counts", description = "A list of counts, row after row, without NULL."),
    argument(name = "columns", description = "How many columns the table has."),
    argument(name = "minimum", description = "The least count that may be known.")
)]
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct SuppressedCells {
    signature: Signature,
}

impl Default for SuppressedCells {
    fn default() -> Self {
        Self { signature: Signature::user_defined(Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for SuppressedCells {
    fn name(&self) -> &str {
        "suppressed_cells"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        expect_arity(self.name(), types, &["counts", "columns", "minimum"])?;
        let whole = |data_type: &DataType| data_type.is_integer() || data_type.is_null();
        let counts = match &types[0] {
            DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => {
                whole(item.data_type())
            }
            other => other.is_null(),
        };
        if !(counts && whole(&types[1]) && whole(&types[2])) {
            return plan_err!(
                "suppressed_cells: arguments must be a list of integers and two integers, not {}, {} and {}",
                types[0],
                types[1],
                types[2]
            );
        }
        let list = DataType::List(Arc::new(Field::new_list_field(DataType::Int64, true)));
        Ok(vec![list, DataType::Int64, DataType::Int64])
    }

    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        Ok(DataType::List(Arc::new(Field::new_list_field(DataType::Boolean, true))))
    }

    fn is_strict(&self) -> bool {
        true
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        evaluate(&args, |rows| {
            let tables = list_column(&args, 0, rows)?;
            let (widths, minima) = (column(&args, 1, rows)?, column(&args, 2, rows)?);
            let (Some(widths), Some(minima)) =
                (widths.as_primitive_opt::<Int64Type>(), minima.as_primitive_opt::<Int64Type>())
            else {
                return internal_err!("suppressed_cells: expected integers");
            };
            let mut hidden = ListBuilder::new(BooleanBuilder::new());
            for row in 0..rows {
                if tables.is_null(row) || widths.is_null(row) || minima.is_null(row) {
                    hidden.append_null();
                    continue;
                }
                let table = tables.value(row);
                let Some(counts) = table.as_primitive_opt::<Int64Type>() else {
                    return internal_err!("suppressed_cells: expected a list of integers");
                };
                let width = usize::try_from(widths.value(row)).unwrap_or(0);
                if width == 0 || counts.len() % width != 0 || counts.null_count() > 0 {
                    return exec_err!(
                        "suppressed_cells: {} counts, {} of them NULL, are no table of {} columns",
                        counts.len(),
                        counts.null_count(),
                        widths.value(row)
                    );
                }
                let cells = suppressed_cells(counts.values(), width, minima.value(row));
                cells.into_iter().for_each(|cell| hidden.values().append_value(cell));
                hidden.append(true);
            }
            Ok(Arc::new(hidden.finish()) as ArrayRef)
        })
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.doc()
    }
}

/// Which cells of a table of `width` columns, whose last row holds the columns' totals, are to be withheld.
///
/// In the words of statistical disclosure control (Cox 1980, JASA 75:377-385), cells below the minimum are primary
/// suppressions; in every line that would give one away the smallest open cell is a complementary one, first where it lies
/// in a line that withholds something already. Cells that hold nobody protect no other.
pub fn suppressed_cells(counts: &[i64], width: usize, minimum: i64) -> Vec<bool> {
    let mut table =
        Table { counts, width, minimum, hidden: counts.iter().map(|count| *count < minimum).collect() };
    let height = counts.len() / width;
    // each round but the last withholds a cell more
    loop {
        let mut more = false;
        for row in 0..height {
            // the totals are the same for every table of them, and so is what is withheld of them
            let across = |table: &Table, cell: usize| match row + 1 < height {
                true => table.column(cell),
                false => (0..0).step_by(1),
            };
            more |= table.protect(table.row(row), table.row(row), across);
        }
        for column in 0..width {
            // a total is no partner, or it would be withheld in one table and known from another
            let open = table.column(column).take(height.saturating_sub(1));
            more |= table.protect(table.column(column), open, |table, cell| table.row(cell / width));
        }
        if !more {
            return table.hidden;
        }
    }
}

struct Table<'a> {
    counts: &'a [i64],
    width: usize,
    minimum: i64,
    hidden: Vec<bool>,
}

type Line = std::iter::StepBy<std::ops::Range<usize>>;

impl Table<'_> {
    fn row(&self, row: usize) -> Line {
        (row * self.width..(row + 1) * self.width).step_by(1)
    }

    fn column(&self, cell: usize) -> Line {
        (cell % self.width..self.counts.len()).step_by(self.width)
    }

    /// Withholds one more of the open cells where those that the line withholds are told by the others; whether there was one.
    fn protect(
        &mut self,
        line: Line,
        open: impl Iterator<Item = usize>,
        across: impl Fn(&Self, usize) -> Line,
    ) -> bool {
        let withheld = line.filter(|cell| self.hidden[*cell] && self.counts[*cell] > 0);
        let (cells, total) =
            withheld.fold((0, 0), |(cells, total), cell| (cells + 1, total + self.counts[cell]));
        if cells == 0 || (cells > 1 && total >= self.minimum) {
            return false;
        }
        let withholds = |cell: usize| across(self, cell).any(|other| self.hidden[other]);
        let partner = open
            .filter(|cell| !self.hidden[*cell])
            .min_by_key(|cell| (!withholds(*cell), self.counts[*cell], *cell));
        if let Some(cell) = partner {
            self.hidden[cell] = true;
        }
        partner.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(counts: &[i64], width: usize) -> String {
        let hidden = suppressed_cells(counts, width, 20);
        let row = |row: &[bool]| row.iter().map(|hidden| if *hidden { 'x' } else { '.' }).collect::<String>();
        hidden.chunks(width).map(row).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn small_cells_and_their_partners() {
        assert_eq!(shown(&[20, 40, 50, 60, 70, 100], 2), ".. .. ..");
        assert_eq!(shown(&[19, 40, 50, 60, 69, 100], 2), "xx xx ..");
        // the smallest other of the row and of the column, and what they lead to
        assert_eq!(shown(&[3, 40, 50, 30, 60, 70, 90, 80, 99, 123, 180, 219], 3), "xx. xx. ... ...");
        // two small ones are enough for their row when they hold 20 together
        assert_eq!(shown(&[10, 11, 50, 30, 60, 70, 40, 71, 120], 3), "xx. xx. ...");
        // a total that is small is withheld with all of its column, and the next total with it
        assert_eq!(shown(&[2, 40, 50, 3, 60, 70, 5, 100, 120], 3), "xx. xx. xx.");
        // nobody is not given away
        assert_eq!(shown(&[0, 40, 50, 60, 50, 100], 2), "x. .. ..");
        assert_eq!(shown(&[0, 7, 50, 60, 60, 70, 60, 67, 120], 3), "xxx .xx ...");
        // one column: the segments of a family and their total
        assert_eq!(shown(&[500, 12, 300, 700, 1512], 1), ". x x . .");
        assert_eq!(shown(&[12, 12], 1), "x x");
        assert_eq!(suppressed_cells(&[], 3, 20), Vec::<bool>::new());
    }

    /// What the published cells and all totals leave open for one withheld cell: whether another value is possible for it
    /// that is a whole number and not negative, found by moving one along a cycle of withheld cells.
    #[test]
    fn no_line_gives_a_cell_away() {
        let mut seed = 7u64;
        let mut random = move |below: u64| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (seed >> 33) % below
        };
        for _ in 0..2000 {
            let (height, width) = (1 + random(6) as usize, 1 + random(6) as usize);
            let most = [30, 100, 400][random(3) as usize];
            let mut counts: Vec<i64> = (0..height * width).map(|_| random(most) as i64).collect();
            let totals: Vec<i64> =
                (0..width).map(|column| counts[column..].iter().step_by(width).sum()).collect();
            counts.extend(totals);
            let hidden = suppressed_cells(&counts, width, 20);
            let table = Table { counts: &counts, width, minimum: 20, hidden: hidden.clone() };
            for cell in 0..counts.len() {
                assert!(counts[cell] >= 20 || hidden[cell]);
            }
            let lines = (0..=height).map(|row| table.row(row).collect::<Vec<_>>());
            let lines = lines.chain((0..width).map(|column| table.column(column).collect()));
            for line in lines {
                let withheld: Vec<i64> = line
                    .iter()
                    .filter(|cell| hidden[**cell])
                    .map(|cell| counts[*cell])
                    .filter(|n| *n > 0)
                    .collect();
                let total: i64 = withheld.iter().sum();
                let open = line.iter().filter(|cell| !hidden[**cell] && **cell < height * width).count();
                let safe = withheld.is_empty() || (withheld.len() > 1 && total >= 20);
                assert!(safe || open == 0, "{counts:?} {width}");
            }
            // totals are withheld for their own sake, whatever the rows are
            let alone = suppressed_cells(&counts[height * width..], width, 20);
            assert_eq!(&hidden[height * width..], &alone);
        }
    }
}

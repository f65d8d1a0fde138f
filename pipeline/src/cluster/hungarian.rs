//! The assignment problem: rows to columns, one to one, at the least total cost (Kuhn 1955, Munkres 1957), by shortest
//! augmenting paths in O(n^3).

/// The column of each of `rows` rows, each column at most once, so that the costs sum to the least; `None` for rows that
/// are left over when there are fewer columns. Of equal sums the one that the search finds first, which depends on the
/// costs only.
pub(crate) fn assignment(
    rows: usize,
    columns: usize,
    cost: impl Fn(usize, usize) -> i64,
) -> Vec<Option<usize>> {
    let n = rows.max(columns);
    // made square: every solution has the same number of cells that stand for nothing
    let cost = |r: usize, c: usize| if r < rows && c < columns { cost(r, c) } else { 0 };
    // row 0 and column 0 are the search's own; `row_of[c]` is the row that column c has
    let (mut of_row, mut of_column) = (vec![0i64; n + 1], vec![0i64; n + 1]);
    let (mut row_of, mut way) = (vec![0usize; n + 1], vec![0usize; n + 1]);
    for row in 1..=n {
        row_of[0] = row;
        let mut at = 0;
        let mut least = vec![i64::MAX; n + 1];
        let mut used = vec![false; n + 1];
        while row_of[at] != 0 {
            used[at] = true;
            let (from, mut step, mut next) = (row_of[at], i64::MAX, 0);
            for column in (1..=n).filter(|column| !used[*column]) {
                let reduced = cost(from - 1, column - 1) - of_row[from] - of_column[column];
                if reduced < least[column] {
                    (least[column], way[column]) = (reduced, at);
                }
                if least[column] < step {
                    (step, next) = (least[column], column);
                }
            }
            for (column, used) in used.iter().enumerate() {
                if *used {
                    of_row[row_of[column]] += step;
                    of_column[column] -= step;
                } else {
                    least[column] = least[column].saturating_sub(step);
                }
            }
            at = next;
        }
        while at != 0 {
            row_of[at] = row_of[way[at]];
            at = way[at];
        }
    }
    let mut assigned = vec![None; rows];
    for (column, row) in row_of[1..].iter().take(columns).enumerate() {
        if let Some(of) = assigned.get_mut(row - 1) {
            *of = Some(column);
        }
    }
    assigned
}

#[cfg(test)]
mod tests {
    use super::super::sample::mix;
    use super::*;

    fn best_by_trying(costs: &[Vec<i64>], row: usize, taken: &mut Vec<bool>) -> i64 {
        if row == costs.len() {
            return 0;
        }
        let mut best = i64::MAX;
        for column in 0..taken.len() {
            if !taken[column] {
                taken[column] = true;
                best = best.min(costs[row][column] + best_by_trying(costs, row + 1, taken));
                taken[column] = false;
            }
        }
        best
    }

    #[test]
    fn equals_trying_all() {
        for case in 0..200u64 {
            let (rows, columns) = (1 + case as usize % 5, 5 + case as usize % 3);
            let value = |r: usize, c: usize| (mix(case << 8 | (r * 8 + c) as u64) % 50) as i64 - 25;
            let costs: Vec<Vec<i64>> =
                (0..rows).map(|r| (0..columns).map(|c| value(r, c)).collect()).collect();
            let assigned = assignment(rows, columns, |r, c| costs[r][c]);
            let total: i64 = assigned.iter().enumerate().map(|(r, c)| costs[r][c.unwrap()]).sum();
            assert_eq!(total, best_by_trying(&costs, 0, &mut vec![false; columns]), "case {case}");
            // transposed: rows are left over
            let turned = assignment(columns, rows, |r, c| costs[c][r]);
            assert_eq!(turned.iter().flatten().count(), rows);
            let total_turned: i64 =
                turned.iter().enumerate().filter_map(|(r, c)| c.map(|c| costs[c][r])).sum();
            assert_eq!(total_turned, total, "case {case} transposed");
        }
        assert_eq!(assignment(2, 0, |_, _| 0), [None, None]);
        assert!(assignment(0, 3, |_, _| 0).is_empty());
    }
}

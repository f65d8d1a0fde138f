//! The minimum spanning tree of mutual reachability, exact and without a matrix of distances.
//!
//! Prim's algorithm runs on every tile, then on every pair of tiles, in which only the edges between the two and those of
//! the tiles' own trees count; Kruskal's joins what is left. No edge of a minimum spanning tree is lost: one that a part
//! leaves out closes a circle there in which no edge is longer. Pairs know nothing of each other, so that threads never wait.

use super::super::scale::Matrix;
use super::super::train::side_by_side;
use super::tiles::{LANES, Tile};
use crate::Result;

/// An edge between two rows, the lower first.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Edge {
    /// Squared mutual reachability: the largest of the squared distance and the squared core distances of both.
    pub squared: f64,
    pub a: u32,
    pub b: u32,
}

/// The n - 1 edges of a minimum spanning tree of n rows, from the shortest to the longest, ties by their rows.
pub(super) fn spanning_tree(
    points: &Matrix,
    tiles: &[Tile],
    core: &[f64],
    threads: usize,
) -> Result<Vec<Edge>> {
    let trees = side_by_side(tiles.len(), threads, |i, _| Ok(Side::new(&tiles[i], core).tree(points, core)))?;
    let mut edges = if trees.len() == 1 {
        trees.concat()
    } else {
        let pairs: Vec<(usize, usize)> = (0..tiles.len()).flat_map(|b| (0..b).map(move |a| (a, b))).collect();
        side_by_side(pairs.len(), threads, |i, _| {
            let (a, b) = pairs[i];
            Ok(pair(points, core, [(&tiles[a], &trees[a]), (&tiles[b], &trees[b])]))
        })?
        .concat()
    };
    edges.sort_unstable_by(|x, y| x.squared.total_cmp(&y.squared).then((x.a, x.b).cmp(&(y.a, y.b))));
    let mut groups = Groups::new(points.len());
    edges.retain(|edge| groups.unite(edge.a as usize, edge.b as usize));
    Ok(edges)
}

/// Disjoint sets (Tarjan), by size and with halved paths.
#[derive(Debug)]
pub(super) struct Groups {
    parent: Vec<u32>,
    size: Vec<u32>,
}

impl Groups {
    pub fn new(rows: usize) -> Self {
        Groups { parent: (0..rows as u32).collect(), size: vec![1; rows] }
    }

    pub fn find(&mut self, row: usize) -> usize {
        let mut at = row;
        while self.parent[at] as usize != at {
            self.parent[at] = self.parent[self.parent[at] as usize];
            at = self.parent[at] as usize;
        }
        at
    }

    /// Whether the two were apart.
    pub fn unite(&mut self, a: usize, b: usize) -> bool {
        let (a, b) = (self.find(a), self.find(b));
        if a == b {
            return false;
        }
        let (small, large) = if self.size[a] < self.size[b] { (a, b) } else { (b, a) };
        self.parent[small] = large as u32;
        self.size[large] += self.size[small];
        true
    }
}

/// The rows of a tile on their way into a tree. Rows in the tree have an infinite core distance and bound, so that they
/// are never reached again.
struct Side<'a> {
    tile: &'a Tile,
    core: Vec<f64>,
    /// The squared reachability of each row from the tree.
    bound: Vec<f64>,
    /// The row of the tree from which it is reached.
    from: Vec<u32>,
    squares: Vec<f64>,
}

impl<'a> Side<'a> {
    fn new(tile: &'a Tile, core: &[f64]) -> Self {
        let padded = tile.padded();
        let mut own = core[tile.rows.clone()].to_vec();
        own.resize(padded, f64::INFINITY);
        let (bound, squares) = (vec![f64::INFINITY; padded], vec![0.0; padded]);
        Side { tile, core: own, bound, from: vec![0; padded], squares }
    }

    fn take(&mut self, row: usize) {
        self.core[row] = f64::INFINITY;
        self.bound[row] = f64::INFINITY;
    }

    /// Reaches from a row of the tree.
    fn reach(&mut self, from: u32, row: &[f64], core: f64) {
        self.tile.squares(row, &mut self.squares);
        let blocks = self.squares.chunks_exact(LANES).zip(self.core.chunks_exact(LANES));
        let tree = self.bound.chunks_exact_mut(LANES).zip(self.from.chunks_exact_mut(LANES));
        for ((squares, cores), (bounds, froms)) in blocks.zip(tree) {
            let mut reached = [0.0; LANES];
            let mut nearer = false;
            let lanes = squares.iter().zip(cores).zip(&*bounds);
            for (reached, ((squared, own), bound)) in reached.iter_mut().zip(lanes) {
                let least = if *own > core { *own } else { core };
                *reached = if *squared > least { *squared } else { least };
                nearer |= *reached < *bound;
            }
            if nearer {
                for ((bound, origin), reached) in bounds.iter_mut().zip(froms).zip(reached) {
                    if reached < *bound {
                        (*bound, *origin) = (reached, from);
                    }
                }
            }
        }
    }

    /// Reaches a row along an edge that is known.
    fn reach_one(&mut self, from: u32, row: usize, squared: f64) {
        if self.core[row] < f64::INFINITY && squared < self.bound[row] {
            (self.bound[row], self.from[row]) = (squared, from);
        }
    }

    fn least(&self) -> f64 {
        let mut least = [f64::INFINITY; LANES];
        for bounds in self.bound.chunks_exact(LANES) {
            for (least, bound) in least.iter_mut().zip(bounds) {
                *least = if bound < least { *bound } else { *least };
            }
        }
        least.into_iter().fold(f64::INFINITY, f64::min)
    }

    /// The nearest row, the first of equals; `least` is its bound.
    fn nearest(&self, least: f64) -> Option<(usize, Edge)> {
        let row = self.bound.iter().position(|bound| *bound == least)?;
        let (from, to) = (self.from[row], (self.tile.rows.start + row) as u32);
        Some((row, Edge { squared: least, a: from.min(to), b: from.max(to) }))
    }

    /// Prim's algorithm within the tile.
    fn tree(mut self, points: &Matrix, core: &[f64]) -> Vec<Edge> {
        let mut edges = Vec::with_capacity(self.tile.rows.len());
        let mut row = 0;
        for _ in 1..self.tile.rows.len() {
            self.take(row);
            let global = self.tile.rows.start + row;
            self.reach(global as u32, points.row(global), core[global]);
            let Some((next, edge)) = self.nearest(self.least()) else { break };
            edges.push(edge);
            row = next;
        }
        edges
    }
}

/// Prim's algorithm on the edges between two tiles and those of their own trees.
fn pair(points: &Matrix, core: &[f64], parts: [(&Tile, &Vec<Edge>); 2]) -> Vec<Edge> {
    let rows = parts[0].0.rows.len() + parts[1].0.rows.len();
    let ties = parts.map(|(tile, tree)| neighbours(tile, tree));
    let mut sides = parts.map(|(tile, _)| Side::new(tile, core));
    let mut edges = Vec::with_capacity(rows);
    let (mut side, mut row) = (0, 0);
    for _ in 1..rows {
        sides[side].take(row);
        let global = sides[side].tile.rows.start + row;
        for (other, squared) in &ties[side][row] {
            sides[side].reach_one(global as u32, *other as usize, *squared);
        }
        sides[1 - side].reach(global as u32, points.row(global), core[global]);
        let least = [sides[0].least(), sides[1].least()];
        side = usize::from(least[1] < least[0]);
        let Some((next, edge)) = sides[side].nearest(least[side]) else { break };
        edges.push(edge);
        row = next;
    }
    edges
}

/// The neighbours of each row of a tile in its tree, and how far they are.
fn neighbours(tile: &Tile, tree: &[Edge]) -> Vec<Vec<(u32, f64)>> {
    let mut neighbours = vec![Vec::new(); tile.rows.len()];
    for edge in tree {
        let (a, b) = (edge.a as usize - tile.rows.start, edge.b as usize - tile.rows.start);
        neighbours[a].push((b as u32, edge.squared));
        neighbours[b].push((a as u32, edge.squared));
    }
    neighbours
}

#[cfg(test)]
mod tests {
    use super::super::super::sample::mix;
    use super::super::core_distances::core_distances;
    use super::super::tiles::tiles;
    use super::*;

    /// Whole numbers, so that many edges are equally long.
    fn crooked(rows: usize, spread: u64) -> Matrix {
        Matrix { values: (0..rows as u64 * 3).map(|i| (mix(i) % spread) as f64).collect(), width: 3 }
    }

    /// The lengths of a minimum spanning tree by Kruskal's algorithm on all edges.
    fn lengths(points: &Matrix, core: &[f64]) -> Vec<f64> {
        let n = points.len();
        let mut edges: Vec<(f64, usize, usize)> = Vec::new();
        for a in 0..n {
            for b in 0..a {
                let pairs = points.row(a).iter().zip(points.row(b));
                let squared = pairs.fold(0.0, |sum, (x, y)| sum + (x - y) * (x - y));
                edges.push((squared.max(core[a]).max(core[b]), a, b));
            }
        }
        edges.sort_by(|x, y| x.0.total_cmp(&y.0));
        let mut groups = Groups::new(n);
        edges.into_iter().filter(|(_, a, b)| groups.unite(*a, *b)).map(|edge| edge.0).collect()
    }

    #[test]
    fn as_short_as_kruskals_on_all_edges() {
        for (rows, spread) in [(1, 5), (2, 5), (40, 3), (150, 20), (150, 1 << 40)] {
            let points = crooked(rows, spread);
            let whole = tiles(&points, rows);
            for neighbours in [1, 4.min(rows), 20.min(rows)] {
                let core = core_distances(&points, &whole, neighbours, 1).unwrap();
                let expected = lengths(&points, &core);
                for (size, threads) in [(rows, 1), (7, 2), (16, 3), (64, 7)] {
                    let tree = spanning_tree(&points, &tiles(&points, size), &core, threads).unwrap();
                    let found: Vec<f64> = tree.iter().map(|edge| edge.squared).collect();
                    assert_eq!(found, expected, "{rows} rows, {neighbours} neighbours, tiles of {size}");
                }
            }
        }
    }

    #[test]
    fn by_hand() {
        let points = Matrix { values: vec![0.0, 1.0, 3.0, 7.0], width: 1 };
        // Core distances to the second other row, squared: 9, 4, 9, 36; so 0 is as far from 1 as from 3.
        let all = tiles(&points, 4);
        let core = core_distances(&points, &all, 3, 1).unwrap();
        let tree = spanning_tree(&points, &all, &core, 1).unwrap();
        let edge = |squared, a, b| Edge { squared, a, b };
        assert_eq!(tree, [edge(9.0, 0, 1), edge(9.0, 0, 2), edge(36.0, 1, 3)]);
    }
}

//! The single linkage tree. What joins at one distance joins at once, as in the paper, so that the tree does not depend on
//! how ties between edges are broken.

use super::spanning_tree::{Edge, Groups};

/// Rows that are connected from a distance on.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Node {
    /// The squared distance at which its children join.
    pub squared: f64,
    /// Two or more: rows below n, nodes from n; by their lowest row.
    pub children: Vec<u32>,
    /// Rows below it.
    pub size: u32,
    /// The lowest of them.
    pub first: u32,
}

/// Nodes above `rows` rows, numbered from `rows` on, children before parents; the last is the root. `edges` are those of a
/// spanning tree, from the shortest to the longest. No node for a single row.
pub(super) fn hierarchy(rows: usize, edges: &[Edge]) -> Vec<Node> {
    let mut nodes: Vec<Node> = Vec::new();
    let mut groups = Groups::new(rows);
    // The node of each group, at the row that stands for the group.
    let mut top: Vec<u32> = (0..rows as u32).collect();
    for level in edges.chunk_by(|a, b| a.squared == b.squared) {
        let mut joining: Vec<usize> = Vec::new();
        for edge in level {
            joining.extend([groups.find(edge.a as usize), groups.find(edge.b as usize)]);
        }
        joining.sort_unstable();
        joining.dedup();
        level.iter().for_each(|edge| {
            groups.unite(edge.a as usize, edge.b as usize);
        });
        let extent = |node: u32| match (node as usize).checked_sub(rows) {
            None => (node, 1),
            Some(at) => (nodes[at].first, nodes[at].size),
        };
        // By the group that they form, then by their lowest row.
        let mut joined: Vec<(usize, u32, u32, u32)> = joining
            .into_iter()
            .map(|group| {
                let (first, size) = extent(top[group]);
                (groups.find(group), first, size, top[group])
            })
            .collect();
        joined.sort_unstable();
        let mut new: Vec<(usize, Node)> = joined
            .chunk_by(|a, b| a.0 == b.0)
            .map(|parts| {
                let children = parts.iter().map(|part| part.3).collect();
                let size = parts.iter().map(|part| part.2).sum();
                (parts[0].0, Node { squared: level[0].squared, children, size, first: parts[0].1 })
            })
            .collect();
        new.sort_unstable_by_key(|(_, node)| node.first);
        for (group, node) in new {
            top[group] = (rows + nodes.len()) as u32;
            nodes.push(node);
        }
    }
    nodes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edge(squared: f64, a: u32, b: u32) -> Edge {
        Edge { squared, a, b }
    }

    #[test]
    fn equal_edges_join_at_once() {
        let nodes = hierarchy(
            6,
            &[edge(1.0, 0, 1), edge(4.0, 1, 2), edge(4.0, 2, 3), edge(4.0, 4, 5), edge(9.0, 0, 4)],
        );
        let node = |squared, children: &[u32], size, first| Node {
            squared,
            children: children.to_vec(),
            size,
            first,
        };
        assert_eq!(
            nodes,
            [
                node(1.0, &[0, 1], 2, 0),
                node(4.0, &[6, 2, 3], 4, 0),
                node(4.0, &[4, 5], 2, 4),
                node(9.0, &[7, 8], 6, 0),
            ]
        );
        // Another minimum spanning tree of the same rows.
        let other = [edge(1.0, 0, 1), edge(4.0, 0, 3), edge(4.0, 1, 2), edge(4.0, 4, 5), edge(9.0, 3, 5)];
        assert_eq!(hierarchy(6, &other), nodes);
        assert!(hierarchy(1, &[]).is_empty());
    }
}

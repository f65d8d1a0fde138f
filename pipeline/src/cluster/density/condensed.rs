//! The condensed tree, the choice of clusters by excess of mass, and what belongs to them.

use super::hierarchy::Node;

/// The smallest distance that two rows can have: a step of the grid on which features lie. Equal rows count as that far
/// apart, so that no density is infinite.
const SMALLEST_DISTANCE: f64 = 1.0 / strata_udfs::model::GRID;

/// A cluster from the distance at which it is cut off from others to that at which it falls apart. Density is 1 / distance.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Cluster {
    /// The cluster that split; none for that of all rows.
    pub parent: Option<usize>,
    /// The density at which it was cut off.
    pub birth: f64,
    /// The highest density at which a row, or a part, left it.
    pub death: f64,
    /// Excess of mass: the sum over its rows of the density at which they left it less that of its birth.
    pub stability: f64,
    pub children: Vec<usize>,
}

/// Clusters of at least a certain size, parents before children, and where each row leaves.
#[derive(Debug)]
pub(super) struct Condensed {
    pub clusters: Vec<Cluster>,
    /// For each row the last cluster that it was in, and the density at which it left.
    pub left: Vec<(usize, f64)>,
}

/// What was chosen.
#[derive(Debug, PartialEq)]
pub(super) struct Chosen {
    /// The segment of each row, by falling size, ties by their lowest row, until [`Chosen::ordered`]; none for noise.
    pub labels: Vec<Option<u32>>,
    /// The density at which a row left over that at which its segment ended, at most 1; 0 for noise.
    pub probabilities: Vec<f64>,
    /// The excess of mass of each segment.
    pub stabilities: Vec<f64>,
    /// The rows of each segment.
    pub sizes: Vec<u64>,
}

impl Chosen {
    /// The same segments in another order: `ranks` is the place of each in `order`.
    pub fn ordered(self, order: &[usize], ranks: &[u32]) -> Chosen {
        Chosen {
            labels: self.labels.iter().map(|label| label.map(|label| ranks[label as usize])).collect(),
            stabilities: order.iter().map(|segment| self.stabilities[*segment]).collect(),
            sizes: order.iter().map(|segment| self.sizes[*segment]).collect(),
            ..self
        }
    }
}

/// Keeps of a hierarchy over `rows` rows the splits into two or more parts of at least `min_size` rows, two or more.
/// Everything smaller leaves as single rows.
pub(super) fn condense(rows: usize, nodes: &[Node], min_size: usize) -> Condensed {
    let root = Cluster { parent: None, birth: 0.0, death: 0.0, stability: 0.0, children: Vec::new() };
    let mut tree = Condensed { clusters: vec![root], left: vec![(0, 0.0); rows] };
    let mut queue = std::collections::VecDeque::from_iter(nodes.len().checked_sub(1).map(|root| (root, 0)));
    while let Some((at, cluster)) = queue.pop_front() {
        let node = &nodes[at];
        let density = 1.0 / node.squared.sqrt().max(SMALLEST_DISTANCE);
        let inner = |child: u32| (child as usize).checked_sub(rows);
        let large = |child: u32| inner(child).filter(|at| nodes[*at].size as usize >= min_size);
        let parts = node.children.iter().filter(|child| large(**child).is_some()).count();
        let mut leaving = 0u32;
        for child in &node.children {
            let size = inner(*child).map_or(1, |at| nodes[at].size);
            match large(*child) {
                Some(part) if parts == 1 => queue.push_back((part, cluster)),
                Some(part) => {
                    let new = tree.clusters.len();
                    tree.clusters.push(Cluster {
                        parent: Some(cluster),
                        birth: density,
                        death: density,
                        stability: 0.0,
                        children: Vec::new(),
                    });
                    tree.clusters[cluster].children.push(new);
                    queue.push_back((part, new));
                    leaving += size;
                }
                None => {
                    rows_below(rows, nodes, *child, |row| tree.left[row] = (cluster, density));
                    leaving += size;
                }
            }
        }
        let cluster = &mut tree.clusters[cluster];
        if leaving > 0 {
            cluster.death = cluster.death.max(density);
            cluster.stability += f64::from(leaving) * (density - cluster.birth);
        }
    }
    tree
}

fn rows_below(rows: usize, nodes: &[Node], top: u32, mut visit: impl FnMut(usize)) {
    let mut stack = vec![top];
    while let Some(at) = stack.pop() {
        match (at as usize).checked_sub(rows) {
            None => visit(at as usize),
            Some(node) => stack.extend(&nodes[node].children),
        }
    }
}

impl Condensed {
    /// The clusters that together have the largest excess of mass, none below another; that of all rows only when
    /// `single` allows it. Of a cluster and its parts with equal excess, the cluster stays.
    ///
    /// A chosen cluster of all rows holds, as in scikit-learn, only the rows that left it last or that its parts held.
    pub fn choose(&self, single: bool) -> Chosen {
        let count = self.clusters.len();
        let mut excess: Vec<f64> = self.clusters.iter().map(|cluster| cluster.stability).collect();
        let mut chosen = vec![false; count];
        for at in (usize::from(!single)..count).rev() {
            let below: f64 = self.clusters[at].children.iter().map(|child| excess[*child]).sum();
            chosen[at] = below <= excess[at];
            excess[at] = excess[at].max(below);
        }
        // The chosen cluster that holds each, the topmost; parents come first.
        let mut holder: Vec<Option<usize>> = vec![None; count];
        for at in 0..count {
            let above = self.clusters[at].parent.and_then(|parent| holder[parent]);
            holder[at] = above.or(chosen[at].then_some(at));
        }
        let belongs = |(cluster, density): (usize, f64)| {
            let holder = holder[cluster]?;
            (holder != 0 || density >= self.clusters[0].death).then_some(holder)
        };
        self.numbered(&self.left.iter().map(|left| belongs(*left)).collect::<Vec<_>>())
    }

    /// Numbers the clusters that hold rows.
    fn numbered(&self, holders: &[Option<usize>]) -> Chosen {
        let mut sizes = vec![0u64; self.clusters.len()];
        let mut first = vec![usize::MAX; self.clusters.len()];
        for (row, holder) in holders.iter().enumerate() {
            if let Some(cluster) = holder {
                sizes[*cluster] += 1;
                first[*cluster] = first[*cluster].min(row);
            }
        }
        let mut order: Vec<usize> = (0..self.clusters.len()).filter(|cluster| sizes[*cluster] > 0).collect();
        order.sort_unstable_by_key(|cluster| (std::cmp::Reverse(sizes[*cluster]), first[*cluster]));
        let mut segment = vec![0; self.clusters.len()];
        order.iter().enumerate().for_each(|(number, cluster)| segment[*cluster] = number as u32);
        let probability = |(holder, (_, density)): (&Option<usize>, &(usize, f64))| match holder {
            Some(cluster) if self.clusters[*cluster].death > 0.0 => {
                (density / self.clusters[*cluster].death).min(1.0)
            }
            Some(_) => 1.0,
            None => 0.0,
        };
        Chosen {
            labels: holders.iter().map(|holder| holder.map(|cluster| segment[cluster])).collect(),
            probabilities: holders.iter().zip(&self.left).map(probability).collect(),
            stabilities: order.iter().map(|cluster| self.clusters[*cluster].stability).collect(),
            sizes: order.iter().map(|cluster| sizes[*cluster]).collect(),
        }
    }
}

-- The odds that the two records of each candidate pair are one person's, in bits.
-- grain: left_id, right_id
-- store: table
-- why: what each field adds to them is told by `identity.evidence`, of the pairs that count
select
    left_id,
    right_id,
    match_weights(levels, chances, $link_model)['total'] as weight
from identity.agreements

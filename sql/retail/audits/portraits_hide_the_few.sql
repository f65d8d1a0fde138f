-- Portraits that say something of fewer customers than may be known.
select
    family,
    segment,
    concat(trait, ': ', value) as what,
    n
from portraits.segment_portraits
where
    n < $portrait_min_cell
    or base_n < $portrait_min_cell
    or (suppressed and (n is not null or share is not null or share_low is not null or tgi is not null or p is not null))
union all
select
    family,
    segment,
    concat(trait, ': ', value, ', ', other_trait, ': ', other_value) as what,
    n
from portraits.segment_combinations
where n + $portrait_rounding <= $portrait_min_cell or base_n + $portrait_rounding <= $portrait_min_cell
union all
select
    family,
    segment,
    number as what,
    n
from portraits.segment_numbers
where n < $portrait_min_cell or base_n < $portrait_min_cell or (suppressed and (mean is not null or q50 is not null))
union all
select
    h.family,
    h.segment,
    'heat map' as what,
    g.active_customers as n
from portraits.segment_heat_map as h
inner join portraits.groups as g on h.family = g.family and h.segment = g.segment
where
    h.counted_as_of = $as_of
    and g.active_customers < $portrait_min_cell
    and (h.customer_hours is not null or h.share is not null)
union all
select
    family,
    segment,
    'spend' as what,
    customers as n
from portraits.segment_summary
where
    (counted_as_of = $as_of and customers < $portrait_min_cell and spend is not null)
    or (suppressed and (spend is not null or orders is not null or mean_recency_days is not null))
union all
select
    'behaviour' as family,
    cast(segment as varchar) as segment,
    feature as what,
    customers as n
from portraits.segment_profiles
where counted_as_of = $as_of and customers < $portrait_min_cell and mean is not null
union all
select
    family,
    coalesce(to_segment, from_segment) as segment,
    change as what,
    customers as n
from segments.segment_migration
where customers < $portrait_min_cell

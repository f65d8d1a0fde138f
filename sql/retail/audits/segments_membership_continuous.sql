-- Customers in two segments of one family at the same time.
with
stays as (
    select
        customer_id,
        family,
        valid_from,
        valid_to,
        lead(valid_from) over (partition by customer_id, family order by valid_from) as next_from
    from segments.segment_membership
)

select
    customer_id,
    family,
    valid_from,
    valid_to
from stays
where valid_to <= valid_from or (next_from is not null and (valid_to is null or next_from < valid_to))

-- Customers in two segments of one family at the same time.
with
stays as (
    select
        customer_id,
        family,
        valid_from,
        valid_to,
        lead(customer_id) over lot as next_customer,
        lead(family) over lot as next_family,
        lead(valid_from) over lot as next_from
    from segments.segment_membership
    window lot as (
        partition by row_hash(customer_id) % 64
        order by customer_id, family, valid_from
    )
)

select
    customer_id,
    family,
    valid_from,
    valid_to
from stays
where
    valid_to <= valid_from
    or (next_customer = customer_id and next_family = family and (valid_to is null or next_from < valid_to))

-- Devices held by two at the same time.
with
intervals as (
    select
        device_id,
        valid_from,
        valid_to,
        lead(valid_from) over (partition by device_id order by valid_from, valid_to) as next_from
    from identity.device_person
)

select
    device_id,
    valid_from,
    valid_to
from intervals
where valid_to <= valid_from or next_from < valid_to

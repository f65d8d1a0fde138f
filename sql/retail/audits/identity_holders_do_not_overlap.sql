-- Devices held by two at the same time.
with
intervals as (
    select
        device_id,
        valid_from,
        valid_to,
        lead(device_id) over lot as next_device,
        lead(valid_from) over lot as next_from
    from identity.device_person
    window lot as (
        partition by row_hash(device_id) % 64
        order by device_id, valid_from, valid_to
    )
)

select
    device_id,
    valid_from,
    valid_to
from intervals
where valid_to <= valid_from or (next_device = device_id and next_from < valid_to)

-- What tags may need besides raw tables, and whether this company's rows have it.
-- store: view
-- why: a word in `needs` of a tag's header is the name of a raw table or stands here
with
found as (
    select
        unnest(
            make_array(
                named_struct('need', 'launches', 'met', launches is not null),
                named_struct('need', 'categories', 'met', categories is not null),
                named_struct('need', 'coupons', 'met', coupons is not null)
            )
        ) as one
    from features.not_found
)

select
    one['need'] as need,
    one['met'] as met
from found

-- What each customer who consents to marketing prefers: the strongest values of each dimension.
-- grain: as_of, customer_id, dimension, place
-- store: table
-- publish: as_of
-- why: dimensions are category, subcategory, brand, price band (of lines kept), shop channel (of orders), and of messages
--    sent the share opened by message channel and content (the goal of the campaign), the share joined by joined channel
select
    $as_of as as_of,
    customer_id,
    dimension,
    place,
    value,
    strength,
    share,
    base_share,
    lift,
    evidence,
    last_on
from features.preferences

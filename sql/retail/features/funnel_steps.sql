-- The funnels that are counted, step by step: which letters of a session's path must follow each other for a step to be reached.
-- store: view
-- why: letters are those of `features.sessions`: s search, v look at a product, c cart, l login, o order; those of one
--    instant stand there in the order of `$step_order`, so a view, a cart and an order within a second pass the whole funnel. A
--    step is reached when both patterns fit, so a step that may come before or after another one has a pattern of its own; a project counts other
--    funnels by a copy of this file
select
    funnel,
    step,
    step_name,
    pattern,
    other_pattern
from (
    values
    ('purchase', 1, 'view', '%v%', '%'),
    ('purchase', 2, 'cart', '%v%c%', '%'),
    ('purchase', 3, 'order', '%v%c%o%', '%'),
    ('search', 1, 'search', '%s%', '%'),
    ('search', 2, 'view', '%s%v%', '%'),
    ('search', 3, 'cart', '%s%v%c%', '%'),
    ('search', 4, 'order', '%s%v%c%o%', '%'),
    ('any order', 1, 'view', '%v%', '%'),
    ('any order', 2, 'view and cart', '%v%', '%c%'),
    ('strict', 1, 'view', '%v%', '%'),
    ('strict', 2, 'cart right after view', '%vc%', '%'),
    ('strict', 3, 'order right after cart', '%vco%', '%')
) as steps (funnel, step, step_name, pattern, other_pattern)

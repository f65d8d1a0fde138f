-- The customer behind each account, under an id that stays when accounts join or leave.
-- grain: account_id
-- store: table
-- why: an id of the run before goes to the person that has most of its accounts, and a person takes the id of most of its
--    own, at a tie the pseudonym of the smallest account id; who has none gets that, or one of this day where it is taken
with
latest as (
    select max(as_of) as as_of
    from person_registry
    where as_of < $as_of
),

known as (
    select
        r.account_key,
        r.customer_id
    from person_registry as r
    inner join latest as l on r.as_of = l.as_of
),

matched as (
    select
        account_id,
        person_account,
        pseudonym(account_id, $pseudonym_key) as account_key
    from identity.matches
),

overlaps as (
    select
        m.person_account,
        k.customer_id,
        pseudonym(m.person_account, $pseudonym_key) <> k.customer_id as unusual,
        count(*) as accounts
    from matched as m
    inner join known as k on m.account_key = k.account_key
    group by m.person_account, k.customer_id
),

claimed as (
    select
        person_account,
        customer_id,
        unusual,
        accounts,
        row_number() over (partition by customer_id order by accounts desc, unusual, person_account) as place
    from overlaps
),

ranked as (
    select
        person_account,
        customer_id,
        row_number() over (partition by person_account order by accounts desc, unusual, customer_id) as place
    from claimed
    where place = 1
),

kept as (
    select
        person_account,
        customer_id
    from ranked
    where place = 1
),

persons as (
    select
        person_account,
        pseudonym(person_account, $pseudonym_key) as usual_id,
        pseudonym(concat_ws(' ', person_account, cast($as_of as varchar)), $pseudonym_key) as other_id
    from identity.matches
    group by person_account
),

named as (
    select
        p.person_account,
        case
            when k.customer_id is not null then k.customer_id
            when t.customer_id is null then p.usual_id
            else p.other_id
        end as customer_id
    from persons as p
    left join kept as k on p.person_account = k.person_account
    left join kept as t on p.usual_id = t.customer_id
)

select
    m.account_id,
    n.customer_id
from identity.matches as m
inner join named as n on m.person_account = n.person_account

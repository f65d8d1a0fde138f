-- Records that may be one person's: equal keys of a rule put records into one block.
-- grain: block, account_id
-- store: view
-- why: blocks are hashes of rule and key, which are many times cheaper to group than texts; an equal hash of another key
--    would only make a pair more to be compared
with
keys as (
    select account_id, 'email' as rule, row_hash('email', email) as block
    from identity.records
    where email is not null
    union all
    select account_id, 'phone' as rule, row_hash('phone', phone) as block
    from identity.records
    where phone is not null
    union all
    select account_id, 'national_id' as rule, row_hash('national_id', national_id) as block
    from identity.records
    where national_id is not null
    union all
    select account_id, 'street' as rule, row_hash('street', street) as block
    from identity.records
    where street is not null
    union all
    select account_id, 'birth_date and name' as rule, row_hash('birth_date and name', birth_date, name) as block
    from identity.records
    where birth_date is not null and name is not null
    union all
    select r.account_id, 'birth_date and rare word' as rule, row_hash('birth_date and rare word', r.birth_date, w.word) as block
    from identity.records as r
    inner join identity.rare_words as w on r.first_word = w.word
    where r.birth_date is not null
    union all
    select r.account_id, 'birth_date and rare word' as rule, row_hash('birth_date and rare word', r.birth_date, w.word) as block
    from identity.records as r
    inner join identity.rare_words as w on r.second_word = w.word
    where r.birth_date is not null and r.second_word <> r.first_word
    union all
    select account_id, 'postcode and name' as rule, row_hash('postcode and name', postcode, first_word) as block
    from identity.records
    where postcode is not null and first_word is not null
    union all
    select account_id, 'postcode and name' as rule, row_hash('postcode and name', postcode, second_word) as block
    from identity.records
    where postcode is not null and second_word is not null and second_word <> first_word
    union all
    select account_id, 'postcode and birth_date' as rule, row_hash('postcode and birth_date', postcode, birth_date) as block
    from identity.records
    where postcode is not null and birth_date is not null
)

select
    rule,
    block,
    account_id
from keys

-- One file of records of people.
-- grain: rec_id
create external table raw.people (
    rec_id varchar,
    given_name varchar,
    surname varchar,
    street_number varchar,
    address_1 varchar,
    address_2 varchar,
    suburb varchar,
    postcode varchar,
    state varchar,
    date_of_birth varchar,
    soc_sec_id varchar
)
stored as csv
location 'raw/people/'
options ('format.has_header' 'true')

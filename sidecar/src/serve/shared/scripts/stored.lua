-- The database has the records of a service up to a place.
return {1, call('ZREMRANGEBYSCORE', P .. 's:' .. arg(), '-inf', arg())}

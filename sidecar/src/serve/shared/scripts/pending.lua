-- Charges that wait for a scope's sums.
return {1, call('HGETALL', P .. 'p:' .. arg())}

-- Whose a hold is: nothing when there is none.
return {1, call('HGET', P .. 'h:' .. arg(), 'i')}

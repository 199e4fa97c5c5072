-- Holds that are open.
return {1, call('ZCARD', P .. 'x')}

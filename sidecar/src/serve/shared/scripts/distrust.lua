-- An epoch of another server is none.
local known = redis.call('GET', KEYS[1])
local server = string.match(redis.call('INFO', 'server'), 'run_id:(%w+)') or ''
if known and string.sub(known, 14) ~= string.sub(server, 1, 12) then redis.call('DEL', KEYS[1]) end
return 1

-- An epoch of another server is none.
local known = redis.call('GET', KEYS[1])
local server = string.match(redis.call('INFO', 'server'), 'run_id:(%w+)') or ''
server = string.sub(server .. string.rep('0', 12), 1, 12)
if known and string.sub(known, 14, 25) ~= server then redis.call('DEL', KEYS[1]) end
return 1

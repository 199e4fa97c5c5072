-- The group's epoch, begun anew when there is none or when it is of another server.
local known = redis.call('GET', KEYS[1])
if known and (ARGV[2] == '' or string.sub(known, 14) == ARGV[2]) then return known end
redis.call('SET', KEYS[1], ARGV[1] .. ARGV[2])
return ARGV[1] .. ARGV[2]

-- Holds an exchange or a lease if every bound has room for it, or changes nothing.
local x = arg()
forced = arg() == '1'
local amount, cost, ttl, holds_max = arg(), arg(), arg(), num(arg())
local fields = {arg(), arg(), arg(), arg(), arg()}
local lease, info = arg(), arg()
local requests, tokens, running = num(arg()), num(arg()), num(arg())
local check_tokens, check_running = num(arg()), num(arg())
if x ~= '' then
  if call('EXISTS', P .. 'z:' .. x) == 1 then return {-5} end
  local old = load(x)
  if old then release(old) end
end

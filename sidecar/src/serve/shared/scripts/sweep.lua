-- Removes keys of the group that are of other epochs, a piece of them: the cursor for the next piece.
local scan = call('SCAN', arg(), 'MATCH', arg(), 'COUNT', 500)
local gone = {}
for _, key in ipairs(scan[2]) do
  if key ~= KEYS[1] and string.sub(key, 1, #P) ~= P then gone[#gone + 1] = key end
end
if #gone > 0 then call('UNLINK', unpack(gone)) end
return {1, scan[1]}

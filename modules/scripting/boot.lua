-- What runs between Python and the script of an operator: the sandbox, its limits, and the calls that interleave.
--
-- Only strings, integers, booleans and nil pass between Python and Lua, structured values as msgpack: so no object of
-- Python is ever in reach of a script, and nothing is allocated where running out of memory could not be caught.
-- The memory limit is on (`arm`) while Lua runs and off (`disarm`) whenever Python does.

local arm, disarm, py_read, py_sync, INSTRUCTIONS, VALUE_BYTES, LOG_BYTES, DEPTH, HOST_CALLS, RANGE, TEXT = ...

local assert, error, ipairs, load, next, pairs, pcall, rawequal, rawget, rawlen, rawset, select, setmetatable, tonumber,
  tostring, type = assert, error, ipairs, load, next, pairs, pcall, rawequal, rawget, rawlen, rawset, select, setmetatable,
  tonumber, tostring, type
local getinfo, metatable, sethook, traceback = debug.getinfo, debug.getmetatable, debug.sethook, debug.traceback
local byte, char, find, gmatch, gsub, spack, sub, sunpack =
  string.byte, string.char, string.find, string.gmatch, string.gsub, string.pack, string.sub, string.unpack
local concat, pack, unpack = table.concat, table.pack, table.unpack
local mtype = math.type
local co_create, co_resume, co_status, co_running, co_yield, co_yieldable = coroutine.create, coroutine.resume,
  coroutine.status, coroutine.running, coroutine.yield, coroutine.isyieldable

metatable(arm).__metatable = false

-- values -------------------------------------------------------------------------------------------------------------

-- What Lua's tables cannot say: that one is a list even if empty, and which of its members were null. Remembered beside
-- the tables, so that to scripts null is nil, and no table has a metatable that it would not have otherwise.
local lists = setmetatable({}, {__mode = "k"})
local nulls = setmetatable({}, {__mode = "k"})

-- An integer above 64 bits. In arithmetic it is a float, like a number of that size in a script.
local Big = {__name = "integer", __metatable = false}
local function float(value)
  if metatable(value) == Big then return tonumber(rawget(value, "decimal")) + 0.0 end
  return value
end
function Big.__tostring(value) return tostring(rawget(value, "decimal")) end
function Big.__eq(a, b) return rawget(a, "decimal") == rawget(b, "decimal") end
local function less(a, b)
  if metatable(a) ~= Big or metatable(b) ~= Big then return float(a) < float(b) end
  local x, y = rawget(a, "decimal"), rawget(b, "decimal")
  local negative = byte(x) == 45
  if negative ~= (byte(y) == 45) then return negative end
  if negative then x, y = y, x end
  if #x ~= #y then return #x < #y end
  return x < y
end
Big.__lt = less
function Big.__le(a, b) return not less(b, a) end
function Big.__add(a, b) return float(a) + float(b) end
function Big.__sub(a, b) return float(a) - float(b) end
function Big.__mul(a, b) return float(a) * float(b) end
function Big.__div(a, b) return float(a) / float(b) end
function Big.__mod(a, b) return float(a) % float(b) end
function Big.__unm(a) return -float(a) end
function Big.__concat(a, b) return tostring(a) .. tostring(b) end

local function big(digits) return setmetatable({decimal = digits}, Big) end

-- A structured error (spec modules/02 §6.2).
local Error = {__name = "ModuleError", __metatable = false}
function Error.__tostring(e)
  local causes, text = rawget(e, "causes"), {}
  for i = 1, type(causes) == "table" and rawlen(causes) or 0 do
    local cause = rawget(causes, i)
    text[i] = type(cause) == "string" and cause or type(cause)
  end
  return "ModuleError: " .. concat(text, ": ")
end

-- Decoding: each reader gets the text and the place behind the first byte, and returns value and place behind it.
local get, readers = nil, {}

local function get_list(s, i, n)
  local list, value = {}, nil
  lists[list] = true
  local missing
  for k = 1, n do
    value, i = get(s, i)
    if value == nil then
      missing = missing or {}
      missing[k] = true
    else
      list[k] = value
    end
  end
  if missing then nulls[list] = missing end
  return list, i
end

local function get_map(s, i, n)
  local map, key, value = {}, nil, nil
  local missing
  for _ = 1, n do
    key, i = get(s, i)
    value, i = get(s, i)
    if value == nil then
      missing = missing or {}
      missing[key] = true
    else
      map[key] = value
    end
  end
  if missing then nulls[map] = missing end
  return map, i
end

function get(s, i)
  local b = byte(s, i)
  if b < 0x80 then return b, i + 1 end
  if b < 0x90 then return get_map(s, i + 1, b - 0x80) end
  if b < 0xa0 then return get_list(s, i + 1, b - 0x90) end
  if b < 0xc0 then return sub(s, i + 1, i + b - 0xa0), i + 1 + b - 0xa0 end
  if b >= 0xe0 then return b - 0x100, i + 1 end
  return readers[b](s, i + 1)
end

readers[0xc0] = function(_, i) return nil, i end
readers[0xc2] = function(_, i) return false, i end
readers[0xc3] = function(_, i) return true, i end
for code, layout in pairs {
  [0xc4] = ">s1", [0xc5] = ">s2", [0xc6] = ">s4", [0xd9] = ">s1", [0xda] = ">s2", [0xdb] = ">s4", [0xca] = ">f",
  [0xcb] = ">d", [0xcc] = ">I1", [0xcd] = ">I2", [0xce] = ">I4", [0xd0] = ">i1", [0xd1] = ">i2", [0xd2] = ">i4",
  [0xd3] = ">i8",
} do
  readers[code] = function(s, i) return sunpack(layout, s, i) end
end
readers[0xcf] = function(s, i)
  local value, after = sunpack(">i8", s, i)
  if value < 0 then
    local tens = (value >> 1) // 5
    value = big(tens .. value - tens * 10)
  end
  return value, after
end
for code, layout in pairs {[0xdc] = ">I2", [0xdd] = ">I4"} do
  readers[code] = function(s, i) local n, after = sunpack(layout, s, i) return get_list(s, after, n) end
end
for code, layout in pairs {[0xde] = ">I2", [0xdf] = ">I4"} do
  readers[code] = function(s, i) local n, after = sunpack(layout, s, i) return get_map(s, after, n) end
end
-- Extensions: a big integer is the only one.
for code, size in pairs {[0xd4] = 1, [0xd5] = 2, [0xd6] = 4, [0xd7] = 8, [0xd8] = 16} do
  readers[code] = function(s, i) return big(sub(s, i + 1, i + size)), i + 1 + size end
end
for code, layout in pairs {[0xc7] = ">I1", [0xc8] = ">I2", [0xc9] = ">I4"} do
  readers[code] = function(s, i)
    local n, after = sunpack(layout, s, i)
    return big(sub(s, after + 1, after + n)), after + 1 + n
  end
end

local function decode(s) return (get(s, 1)) end

-- Encoding. `out` is {n = pieces, size = bytes, most = bytes, lenient = whether for a log}.
local function add(out, piece)
  local n, size = out.n + 1, out.size + #piece
  if size > out.most then error("the value is larger than " .. out.most .. " bytes", 0) end
  out[n], out.n, out.size = piece, n, size
end

local function add_string(out, s)
  local n = #s
  if n < 0x100 then
    add(out, "\xc4" .. char(n) .. s)
  elseif n > out.most then
    error("the value is larger than " .. out.most .. " bytes", 0)
  else
    add(out, "\xc6" .. spack(">I4", n))
    add(out, s)
  end
end

local function add_integer(out, v)
  if v >= 0 and v < 0x80 then
    add(out, char(v))
  elseif v < 0 and v >= -0x20 then
    add(out, char(v + 0x100))
  else
    add(out, "\xd3" .. spack(">i8", v))
  end
end

local function add_head(out, n, short, long)
  if n < 16 then add(out, char(short + n)) else add(out, long .. spack(">I4", n)) end
end

-- The length of `t` as a list, or nothing and its number of members.
local function shape(t, hidden)
  local count, top, positions = 0, 0, true
  for k in next, t do
    count = count + 1
    if mtype(k) == "integer" and k > 0 then
      if k > top then top = k end
    else
      positions = false
    end
  end
  if hidden then
    for k in next, hidden do
      if rawget(t, k) == nil then
        count = count + 1
        if mtype(k) == "integer" then
          if k > top then top = k end
        else
          positions = false
        end
      end
    end
  end
  if positions then
    if count == 0 then
      if lists[t] then return 0, 0 end
    elseif top == count or top <= 2 * count and (lists[t] or top == rawlen(t)) then
      return top, count
    end
  end
  return nil, count
end

local put

local function put_key(out, k)
  if type(k) == "string" then
    add_string(out, k)
  elseif mtype(k) == "integer" then
    add_integer(out, k)
  elseif out.lenient then
    local kind = type(k)
    add_string(out, (kind == "number" or kind == "boolean") and tostring(k) or kind)
  else
    error("a key can be a string or an integer, not a " .. (mtype(k) or type(k)), 0)
  end
end

local function put_table(out, t, depth)
  if depth >= DEPTH then
    if out.lenient then return add_string(out, "...") end
    error("tables are in each other more than " .. DEPTH .. " levels deep", 0)
  end
  local meta = metatable(t)
  if meta == Big then
    local digits = rawget(t, "decimal")
    if type(digits) ~= "string" or #digits > 4000 or not find(digits, "^-?%d+$") then error("an integer is broken", 0) end
    return add(out, "\xc8" .. spack(">I2", #digits) .. "\1" .. digits)
  end
  local hidden = nulls[t]
  local length, count = shape(t, hidden)
  if length then
    add_head(out, length, 0x90, "\xdd")
    for i = 1, length do put(out, rawget(t, i), depth + 1) end
    return
  end
  add_head(out, count, 0x80, "\xdf")
  for k, v in next, t do
    put_key(out, k)
    put(out, v, depth + 1)
  end
  if hidden then
    for k in next, hidden do
      if rawget(t, k) == nil then
        put_key(out, k)
        add(out, "\xc0")
      end
    end
  end
end

function put(out, v, depth)
  local kind = type(v)
  if kind == "string" then
    add_string(out, v)
  elseif kind == "table" then
    put_table(out, v, depth)
  elseif kind == "number" then
    if mtype(v) == "integer" then add_integer(out, v) else add(out, "\xcb" .. spack(">d", v)) end
  elseif v == nil then
    add(out, "\xc0")
  elseif kind == "boolean" then
    add(out, v and "\xc3" or "\xc2")
  elseif out.lenient then
    add_string(out, kind)
  else
    error("a " .. kind .. " has no meaning outside of the script", 0)
  end
end

local function encode(v)
  local out = {n = 0, size = 0, most = VALUE_BYTES}
  put(out, v, 0)
  return concat(out, "", 1, out.n)
end

local contexts = setmetatable({}, {__mode = "k"})

-- The arguments of a host function as a list. The ctx in front says nothing that Python does not know.
local function encode_arguments(lenient, ...)
  local first, n = 1, select("#", ...)
  if n > 0 and contexts[(...)] then first = 2 end
  local out = {n = 0, size = 0, most = lenient and LOG_BYTES or VALUE_BYTES, lenient = lenient}
  add_head(out, n - first + 1, 0x90, "\xdd")
  for i = first, n do put(out, (select(i, ...)), 0) end
  return concat(out, "", 1, out.n)
end

-- errors -------------------------------------------------------------------------------------------------------------

local function user_error(e)
  if type(e) ~= "table" then error("user_error: a table {causes, fatal, ctx} is expected", 0) end
  local causes = {}
  if type(e.causes) == "table" then
    for i, cause in ipairs(e.causes) do causes[i] = tostring(cause) end
  elseif e.causes ~= nil then
    causes[1] = tostring(e.causes)
  end
  local ctx = e.ctx
  error(setmetatable({causes = causes, fatal = e.fatal == true, ctx = type(ctx) == "table" and ctx or {}}, Error), 0)
end

local function as_user_error(e)
  if type(e) ~= "table" or metatable(e) ~= Error then return nil end
  return {causes = e.causes, fatal = e.fatal, ctx = e.ctx}
end

-- An error in a call of ours, with the place in the script. A script's function whose last act is `return f()` is not
-- on the stack any more.
local function fail(text)
  local level, info = 1, nil
  repeat
    level = level + 1
    info = getinfo(level, "Sl")
  until not info or info.source ~= "=boot"
  if info and info.currentline > 0 then text = info.short_src .. ":" .. info.currentline .. ": " .. text end
  error(text, 0)
end

-- What a host function came to.
local function outcome(kind, value)
  if kind == "value" then return decode(value) end
  if kind == "error" then error(setmetatable(decode(value), Error), 0) end
  fail(value)
end

-- limits -------------------------------------------------------------------------------------------------------------

local STEP = 10000
local left, step = 0, STEP
local current -- the call whose slice is running

-- Once the instructions are used up every further one fails, so that nobody goes on by catching the error.
local USED_UP = "the script has used up its " .. INSTRUCTIONS .. " instructions"
local function hook()
  left = left - step
  if left <= 0 then
    step = 1
    sethook(co_running(), hook, "", 1)
    error(USED_UP, 0)
  end
end

local function create(f)
  local co = co_create(f)
  sethook(co, hook, "", STEP)
  return co
end

-- the globals of scripts ---------------------------------------------------------------------------------------------

local G = {_VERSION = _VERSION, assert = assert, error = error, ipairs = ipairs, next = next, pairs = pairs,
  pcall = pcall, rawequal = rawequal, rawget = rawget, rawlen = rawlen, rawset = rawset, select = select,
  tonumber = tonumber, tostring = tostring, type = type, getmetatable = getmetatable}
G._G = G

local function copy(library, without)
  local result = {}
  for k, v in pairs(library) do if k ~= without then result[k] = v end end
  return result
end
G.string, G.table, G.math, G.utf8 = copy(string, "dump"), copy(table), copy(math), copy(utf8)
local strings = metatable("")
strings.__index, strings.__metatable = G.string, false

-- Finalisers would run without limits.
function G.setmetatable(t, meta)
  if type(meta) == "table" and rawget(meta, "__gc") ~= nil then fail("__gc is not available to scripts") end
  return setmetatable(t, meta)
end

-- A handler would run without limits after an error of the hook.
function G.xpcall(f, handler, ...)
  local r = pack(pcall(f, ...))
  if r[1] then return unpack(r, 1, r.n) end
  return false, handler(r[2])
end

function G.load(chunk, name, _, ...)
  if type(chunk) == "function" then
    local pieces = {}
    while true do
      local piece = chunk()
      if piece == nil or piece == "" then break end
      if type(piece) ~= "string" then return nil, "reader function must return a string" end
      pieces[#pieces + 1] = piece
    end
    chunk, name = concat(pieces), name or "=(load)"
  end
  if type(chunk) ~= "string" then fail("bad argument #1 to 'load' (string or function expected)") end
  if select("#", ...) > 0 then return load(chunk, name, "t", (...)) end
  return load(chunk, name, "t", G)
end

-- Loops in C over what a script claims to be there.
local function bounded(f)
  return function(t, ...)
    local meta = metatable(t)
    if type(t) == "table" and meta ~= nil and rawget(meta, "__len") ~= nil then
      local n = #t
      if type(n) == "number" and n > RANGE then fail("too many elements") end
    end
    return f(t, ...)
  end
end
G.table.insert, G.table.remove = bounded(table.insert), bounded(table.remove)
local move = table.move
function G.table.move(t, from, to, ...)
  local a, b = tonumber(from), tonumber(to)
  if a and b and b - a > RANGE then fail("too many elements") end
  return move(t, from, to, ...)
end

-- Coroutines share the limit of the call, and hand the waits of host functions on to its driver.
local TAG = {}
local function pass(co, ok, tag, ...)
  if ok and rawequal(tag, TAG) then return pass(co, co_resume(co, co_yield(TAG, ...))) end
  return ok, tag, ...
end
local function resume(co, ...) return pass(co, co_resume(co, ...)) end
local function unwrap(ok, ...)
  if ok then return ... end
  error((...), 0)
end
G.coroutine = {create = create, resume = resume, status = co_status, running = co_running, yield = co_yield,
  isyieldable = co_yieldable, wrap = function(f)
    local co = create(f)
    return function(...) return unwrap(resume(co, ...)) end
  end}

local loaded, loading = {}, {}
for _, name in ipairs {"string", "table", "math", "utf8", "coroutine"} do loaded[name] = G[name] end
loaded._G = G
G.package = {loaded = loaded}

function G.require(name)
  if type(name) ~= "string" or not find(name, "^[%w_.-]+$") then
    fail("a module's name has letters, digits, '_', '-' and '.'")
  end
  if loaded[name] ~= nil then return loaded[name] end
  if loading[name] then fail("loop while loading module '" .. name .. "'") end
  local path, text = py_read(name)
  arm()
  if not path then fail(text) end
  local chunk, problem = load(text, "@" .. path, "t", G)
  if not chunk then error(problem, 0) end
  loading[name] = true
  local r = pack(pcall(chunk, name, path))
  loading[name] = nil
  if not r[1] then error(r[2], 0) end
  if r[2] ~= nil then
    loaded[name] = r[2]
  elseif loaded[name] == nil then
    loaded[name] = true
  end
  return loaded[name]
end

-- host functions -----------------------------------------------------------------------------------------------------

local function sync(name, lenient)
  return function(...)
    local ok, request = pcall(encode_arguments, lenient, ...)
    if not ok then fail(request) end
    local kind, value = py_sync(name, request)
    arm()
    return outcome(kind, value)
  end
end

local function async(name)
  return function(...)
    local call = current
    if call.loading then fail(name .. " is not available while the script is loaded") end
    call.waits = call.waits + 1
    if call.waits > HOST_CALLS then fail("the script has waited " .. HOST_CALLS .. " times") end
    local ok, request = pcall(encode_arguments, false, ...)
    if not ok then fail(request) end
    local kind, value = co_yield(TAG, name, request)
    return outcome(kind, value)
  end
end

local natives = {["__dflt.user_error"] = user_error, ["__dflt.as_user_error"] = as_user_error}

-- Puts `value` where the dotted `name` says, beginning in the globals.
local function place(name, value)
  local t, last = G, nil
  for part in gmatch(name, "[^.]+") do
    if last then
      if type(t[last]) ~= "table" then t[last] = {} end
      t = t[last]
    end
    last = part
  end
  t[last] = value
end

-- calls --------------------------------------------------------------------------------------------------------------

local calls, sessions = {}, {}

-- What an error that nobody has caught says: kind, value, and where it was raised.
local function failure(e, co)
  local where = sub(traceback(co, nil), 1, TEXT)
  if type(e) == "table" and metatable(e) == Error then
    local ok, value = pcall(encode, {causes = e.causes, fatal = e.fatal == true, ctx = e.ctx})
    if ok then return "error", value, where end
    e = tostring(e) .. ": its ctx cannot be sent: " .. tostring(value)
  elseif type(e) == "table" then
    -- Not by its __tostring: here that would run without limits.
    local ok, value = pcall(encode_arguments, true, e)
    return "table", ok and value or "", where
  end
  return "failed", sub(tostring(e), 1, TEXT), where
end

local function slice(id, call, ...)
  current, left, step = call, call.left, STEP
  local ok, first, second, third = co_resume(call.co, ...)
  call.left, current = left, nil
  if not ok then
    calls[id] = nil
    return failure(first, call.co)
  end
  if left <= 0 then -- in a coroutine whose error nobody looked at
    calls[id] = nil
    return "failed", USED_UP, ""
  end
  if co_status(call.co) == "dead" then
    calls[id] = nil
    return "value", first
  end
  if rawequal(first, TAG) then return "io", third, second end
  calls[id] = nil
  return "failed", "the script yields outside of a coroutine of its own", ""
end

local function entry(f)
  return function(...)
    arm()
    local ok, kind, value, extra = pcall(f, ...)
    disarm()
    if ok then return kind, value, extra end
    current = nil
    return "failed", type(kind) == "string" and kind or "the script's machine failed", ""
  end
end

-- For what we have made ourselves.
local function unlimited(f)
  return function(...)
    local ok, problem = pcall(f, ...)
    if not ok then return "failed", tostring(problem), "" end
  end
end

local function run(f, arguments)
  return encode(f(unpack(arguments, 1, arguments.n)))
end

local function start(id, session, name, arguments)
  local ctx, f = sessions[session], G[name]
  if type(f) ~= "function" then return "failed", "function `" .. name .. "` is missing", "" end
  local count, after
  count, after = byte(arguments, 1) - 0x90, 2
  local list = {ctx, n = count + 1}
  for i = 1, count do list[i + 1], after = get(arguments, after) end
  local call = {co = create(run), left = INSTRUCTIONS, waits = 0}
  calls[id] = call
  return slice(id, call, f, list)
end

local function continue(id, kind, value)
  local call = calls[id]
  if not call then return "failed", "the call is not known", "" end
  return slice(id, call, kind, value)
end

local function open(session, value)
  local ctx = decode(value)
  ctx.__ctx_dflt, ctx.__ctx_llm = {}, {}
  contexts[ctx], contexts[ctx.__ctx_dflt], contexts[ctx.__ctx_llm] = true, true, true
  sessions[session] = ctx
end

local function load_script(path, text, required)
  local chunk, problem = load(text, "@" .. path, "t", G)
  if not chunk then return "failed", problem, "" end
  local call = {co = create(function()
    chunk(path)
    return ""
  end), left = INSTRUCTIONS, loading = true}
  local kind, value, where = slice(0, call)
  if kind ~= "value" then return kind, value, where end
  for name in gmatch(required, "[^\n]+") do
    if type(G[name]) ~= "function" then return "failed", path .. ": function `" .. name .. "` is missing", "" end
  end
  return "value", ""
end

return entry(start), entry(continue), unlimited(open), entry(load_script),
  unlimited(function(values)
    for name, value in pairs(decode(values)) do G[name] = value end
  end),
  unlimited(function(kind, name)
    local f = natives[name]
    if kind == "sync" then f = sync(name, false) end
    if kind == "log" then f = sync(name, true) end
    if kind == "async" then f = async(name) end
    place(name, f)
  end),
  unlimited(function(id) calls[id] = nil end),
  unlimited(function(session) sessions[session] = nil end)

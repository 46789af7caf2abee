%% Peer of the kernel benchmark: the kernels in Erlang, one process per actor.
%%
%% Compile: erlc -o OUT troupe_peer.erl && cp run.sh OUT/
%% Run:     OUT/run.sh KERNEL --threads N [--scale D]
%% which executes (the module cannot be called peer: OTP has one of that name)
%%   erl -noshell -noinput -boot start_clean -mode minimal +S N:N +SDcpu 1:1 +SDio 1 +A 1
%%       +P 2000000 +sbwt medium -pa OUT -s troupe_peer main -extra KERNEL --threads N [--scale D]
%%
%% Runs the kernel once to warm up and once measured, checks both results and prints one line
%% "ops=N ns=T". Exit status 1: wrong result; 2: unknown kernel or option. D divides the
%% operations. The measured part starts when all processes but those of fjcreate and chameneos
%% exist, and ends when the result has reached the process that measures. A busy emulator is slow
%% to obey SIGTERM; whoever limits its time ends it with SIGKILL.
%%
%% Chosen after trying the alternatives on 2 cores with OTP 25 (its compiler to machine code is on):
%%   - Messages are small integers, atoms and pids, which need no copy; only chameneos sends pairs.
%%     Loops are tail calls with one receive that takes the first message of the queue.
%%   - message_queue_data off_heap for the actors whose queue grows long (counter, receivers of
%%     fjthrput, parent of fjcreate): the parent is about ten times faster, since its collections no
%%     longer walk through the queue; fjthrput gains too. Elsewhere it changes nothing.
%%   - min_heap_size: 12 or 50 words for the children of fjcreate and 1000 for everybody are within
%%     the noise of the default, which is kept.
%%   - +sbwt medium, the default: as good as short, and better than none for streams over two
%%     schedulers (count 2.6 to 3.4 against 1.2 million/s). TROUPE_PEER_SBWT=none repeats it. +sub
%%     true and +scl false gave nothing.
%%   - Inlining by the compiler; one dirty scheduler of each kind, so that none compete for cores.
-module(troupe_peer).
-export([main/0]).
-compile([inline, {inline_size, 64}]).

-define(FAN_ACTORS, 60).
-define(BIG_ACTORS, 120).
-define(CREATURES, 100).
-define(WAVE, 1000).

%% --- command line ---

%% {operations, unit the operations are a multiple of, function of the operations}
kernel("pingpong") -> {1000000, 1, fun pingpong/1};
kernel("count") -> {1000000, 1, fun(N) -> stream(N, 1) end};
kernel("fanin8") -> {1000000, 1, fun(N) -> stream(N, 8) end};
kernel("fanin64") -> {1000000, 1, fun(N) -> stream(N, 64) end};
kernel("fanin1000") -> {1000000, 1, fun(N) -> stream(N, 1000) end};
kernel("fjthrput") -> {600000, ?FAN_ACTORS, fun fork_throughput/1};
kernel("fjcreate") -> {1000000, 1, fun(N) -> fork_create(N, N) end};
kernel("fjcreate-waves") -> {1000000, 1, fun(N) -> fork_create(N, ?WAVE) end};
kernel("threadring100") -> {1000000, 1, fun(N) -> thread_ring(N, 100) end};
kernel("threadring503") -> {1000000, 1, fun(N) -> thread_ring(N, 503) end};
kernel("big") -> {2400000, ?BIG_ACTORS, fun big/1};
kernel("chameneos") -> {200000, 1, fun chameneos/1};
kernel(_) -> usage().

usage() ->
    io:format(standard_error, "usage: run.sh KERNEL --threads N [--scale D]~n", []),
    stop(2).

stop(Status) ->
    erlang:halt(Status),
    receive after infinity -> ok end.

%% The threads are an option of the emulator; run.sh has set them.
scale(["--threads", _ | Rest], Scale) -> scale(Rest, Scale);
scale(["--scale", D | Rest], _) -> scale(Rest, max(1, list_to_integer(D)));
scale([], Scale) -> Scale;
scale(_, _) -> usage().

main() ->
    [Name | Options] =
        case init:get_plain_arguments() of
            [] -> usage();
            Arguments -> Arguments
        end,
    {Full, Unit, Run} = kernel(Name),
    Ops = max(Unit, Full div scale(Options, 1) div Unit * Unit),
    _ = measure(Name, Run, Ops),
    Ns = measure(Name, Run, Ops),
    io:format("ops=~b ns=~b~n", [Ops, Ns]),
    stop(0).

%% Each round runs in a process of its own and starts with an empty heap.
measure(Name, Run, Ops) ->
    Self = self(),
    _ = spawn(fun() -> Self ! {result, Run(Ops)} end),
    receive
        {result, {Ns, true}} ->
            Ns;
        {result, Wrong} ->
            io:format(standard_error, "~s has a wrong result: ~p~n", [Name, Wrong]),
            stop(1)
    end.

now_ns() -> erlang:monotonic_time(nanosecond).

actor(Fun) -> spawn(Fun).

%% An actor whose queue grows long: its messages stay outside the heap it collects.
hub(Fun) -> spawn_opt(Fun, [{message_queue_data, off_heap}]).

%% --- pingpong ---

pingpong(N) ->
    Main = self(),
    Pong = actor(fun() -> receive Ping when is_pid(Ping) -> pong(Ping) end end),
    Ping = actor(fun() -> receive start -> Main ! {done, ping(Pong, 0, N)} end end),
    Pong ! Ping,
    Began = now_ns(),
    Ping ! start,
    receive {done, Value} -> ok end,
    Ns = now_ns() - Began,
    Pong ! stop,
    {Ns, Value =:= 2 * N}.

ping(_, Value, 0) ->
    Value;
ping(Pong, Value, N) ->
    Pong ! Value + 1,
    receive Next -> ping(Pong, Next, N - 1) end.

pong(Ping) ->
    receive
        Value when is_integer(Value) ->
            Ping ! Value + 1,
            pong(Ping);
        stop ->
            ok
    end.

%% --- count, fanin ---

stream(N, Senders) ->
    Main = self(),
    Counter = hub(fun() -> Main ! {done, add(N, 0)} end),
    Start = fun(I) ->
        First = N * I div Senders,
        End = N * (I + 1) div Senders,
        actor(fun() -> receive start -> send_numbers(Counter, First, End) end end)
    end,
    All = [Start(I) || I <- lists:seq(0, Senders - 1)],
    Began = now_ns(),
    [Sender ! start || Sender <- All],
    receive {done, Sum} -> ok end,
    {now_ns() - Began, Sum =:= N * (N - 1) div 2}.

add(0, Sum) -> Sum;
add(N, Sum) -> receive Value -> add(N - 1, Sum + Value) end.

send_numbers(_, End, End) ->
    ok;
send_numbers(Counter, Value, End) ->
    Counter ! Value,
    send_numbers(Counter, Value + 1, End).

%% --- fjthrput ---

fork_throughput(N) ->
    Main = self(),
    Rounds = N div ?FAN_ACTORS,
    Receiver = fun() -> Main ! {done, add(Rounds, 0)} end,
    All = [hub(Receiver) || _ <- lists:seq(1, ?FAN_ACTORS)],
    Driver = actor(fun() -> receive start -> send_rounds(All, 0, Rounds) end end),
    Began = now_ns(),
    Driver ! start,
    Sums = [receive {done, Sum} -> Sum end || _ <- All],
    Ns = now_ns() - Began,
    {Ns, lists:all(fun(Sum) -> Sum =:= Rounds * (Rounds - 1) div 2 end, Sums)}.

send_rounds(_, Rounds, Rounds) ->
    ok;
send_rounds(All, Round, Rounds) ->
    send_all(All, Round),
    send_rounds(All, Round + 1, Rounds).

send_all([], _) ->
    ok;
send_all([Actor | Rest], Value) ->
    Actor ! Value,
    send_all(Rest, Value).

%% --- fjcreate ---

fork_create(N, Wave) ->
    Main = self(),
    Began = now_ns(),
    _ = hub(fun() -> Main ! {done, waves(self(), 0, N, Wave, 0)} end),
    receive {done, Sum} -> ok end,
    {now_ns() - Began, Sum =:= N * (N + 1) div 2}.

waves(_, N, N, _, Sum) ->
    Sum;
waves(Parent, Made, N, Wave, Sum) ->
    End = min(N, Made + Wave),
    Child = fun() -> receive Value -> Parent ! Value + 1 end end,
    create(Child, Made, End),
    waves(Parent, End, N, Wave, Sum + add(End - Made, 0)).

create(_, End, End) ->
    ok;
create(Child, Value, End) ->
    spawn(Child) ! Value,
    create(Child, Value + 1, End).

%% --- threadring ---

thread_ring(N, Actors) ->
    Main = self(),
    Last = actor(fun() -> receive Next -> ring(Next, Main, Actors - 1) end end),
    First = lists:foldl(
        fun(Index, Next) -> actor(fun() -> ring(Next, Main, Index) end) end,
        Last,
        lists:seq(Actors - 2, 0, -1)
    ),
    Last ! First,
    Began = now_ns(),
    First ! N,
    receive {done, Index} -> ok end,
    Ns = now_ns() - Began,
    First ! stop,
    {Ns, Index =:= N rem Actors}.

ring(Next, Main, Index) ->
    receive
        0 ->
            Main ! {done, Index},
            ring(Next, Main, Index);
        stop ->
            Next ! stop;
        Hops ->
            Next ! Hops - 1,
            ring(Next, Main, Index)
    end.

%% --- big ---

%% A pid is a ping from that process; atoms are everything else.
big(N) ->
    Main = self(),
    Pings = N div ?BIG_ACTORS,
    Start = fun(Self) ->
        actor(fun() ->
            receive
                Others when is_tuple(Others) ->
                    Seed = Self * 2654435761 band 16#ffffffff,
                    big_loop(Main, self(), Self, Others, Seed, Pings, 0)
            end
        end)
    end,
    All = [Start(I) || I <- lists:seq(1, ?BIG_ACTORS)],
    [Actor ! list_to_tuple(All) || Actor <- All],
    Began = now_ns(),
    [Actor ! start || Actor <- All],
    [receive finished -> ok end || _ <- All],
    Ns = now_ns() - Began,
    [Actor ! stop || Actor <- All],
    Answers = lists:sum([receive {answers, A} -> A end || _ <- All]),
    {Ns, Answers =:= N}.

big_loop(Main, Pid, Self, Others, State, Left, Answers) ->
    receive
        Asker when is_pid(Asker) ->
            Asker ! pong,
            big_loop(Main, Pid, Self, Others, State, Left, Answers + 1);
        pong when Left =:= 0 ->
            Main ! finished,
            big_loop(Main, Pid, Self, Others, State, Left, Answers);
        stop ->
            Main ! {answers, Answers};
        _PongOrStart ->
            Next = xorshift(State),
            element(other(Next rem (?BIG_ACTORS - 1) + 1, Self), Others) ! Pid,
            big_loop(Main, Pid, Self, Others, Next, Left - 1, Answers)
    end.

other(Index, Self) when Index >= Self -> Index + 1;
other(Index, _) -> Index.

xorshift(S0) ->
    S1 = (S0 bxor (S0 bsl 13)) band 16#ffffffff,
    S2 = S1 bxor (S1 bsr 17),
    (S2 bxor (S2 bsl 5)) band 16#ffffffff.

%% --- chameneos ---

chameneos(N) ->
    Main = self(),
    Mall = actor(fun() -> mall(N) end),
    Began = now_ns(),
    Creature = fun(I) -> actor(fun() -> creature(Main, Mall, self(), I rem 3, 0) end) end,
    All = [Creature(I) || I <- lists:seq(0, ?CREATURES - 1)],
    Sum = lists:sum([receive {met, Count} -> Count end || _ <- All]),
    {now_ns() - Began, Sum =:= 2 * N}.

%% Hands the second of two to the first, who tells the second the colour they take.
mall(0) ->
    close_mall(?CREATURES);
mall(N) ->
    receive {First, _} -> ok end,
    receive Second -> First ! Second end,
    mall(N - 1).

close_mall(0) ->
    ok;
close_mall(Left) ->
    receive {Creature, _} -> Creature ! closed end,
    close_mall(Left - 1).

creature(Main, Mall, Self, Colour, Count) ->
    Mall ! {Self, Colour},
    receive
        {Partner, Other} ->
            Taken = complement(Colour, Other),
            Partner ! Taken,
            creature(Main, Mall, Self, Taken, Count + 1);
        closed ->
            Main ! {met, Count};
        Taken ->
            creature(Main, Mall, Self, Taken, Count + 1)
    end.

%% Two of a colour keep it, two of different colours take the third.
complement(Colour, Colour) -> Colour;
complement(A, B) -> 3 - A - B.

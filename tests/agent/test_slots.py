import asyncio

from app.agent.slots import PrioritySlots


async def hold(slots, priority, name, order, leave=None):
    async with slots.hold(priority):
        order.append(name)
        if leave is not None:
            await leave.wait()


async def settle():
    for _ in range(5):
        await asyncio.sleep(0)


def test_no_more_than_the_slots_are_held_at_once():
    async def check():
        slots, order, leave = PrioritySlots(2), [], asyncio.Event()
        tasks = [asyncio.create_task(hold(slots, 0, number, order, leave)) for number in range(4)]
        await settle()
        assert order == [0, 1]
        leave.set()
        await asyncio.gather(*tasks)
        assert order == [0, 1, 2, 3]

    asyncio.run(check())


def test_the_urgent_go_before_those_that_came_earlier():
    async def check():
        slots, order, leave = PrioritySlots(1), [], asyncio.Event()
        tasks = [asyncio.create_task(hold(slots, 1, "first", order, leave))]
        await settle()
        tasks += [
            asyncio.create_task(hold(slots, priority, name, order))
            for priority, name in ((1, "filling"), (1, "filling too"), (0, "urgent"), (0, "urgent too"))
        ]
        await settle()
        leave.set()
        await asyncio.gather(*tasks)
        assert order == ["first", "urgent", "urgent too", "filling", "filling too"]

    asyncio.run(check())


def test_a_slot_is_given_back_by_whoever_fails():
    async def check():
        slots = PrioritySlots(1)
        for _ in range(2):
            try:
                async with slots.hold(0):
                    raise LookupError
            except LookupError:
                pass
        await asyncio.wait_for(hold(slots, 0, "next", []), 1)

    asyncio.run(check())


def test_whoever_stops_waiting_takes_no_slot_along():
    async def check():
        slots, order = PrioritySlots(1), []
        async with slots.hold(0):
            waiting = asyncio.create_task(hold(slots, 0, "waiting", order))
            handed_over = asyncio.create_task(hold(slots, 1, "handed over", order))
            await settle()
            waiting.cancel()
            await settle()
        # The slot is its own by now, but it has not run since.
        handed_over.cancel()
        await asyncio.wait_for(hold(slots, 0, "next", order), 1)
        await asyncio.gather(waiting, handed_over, return_exceptions=True)
        assert order == ["next"]

    asyncio.run(check())

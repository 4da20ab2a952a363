"""Calls by the batch: half the price, some day. A rehearsal's requests through a provider's batch API.

How it thinks. A call by batch is a live call that is cut in two and runs twice (`passes`): the first time it
is admitted, routed and translated like any other, and stops where it would be sent; the second time the
answer is at hand. The same machine, so the same bytes, losses, usage and cost as a live call, at the price of
a batch. Between the two lie hours, and perhaps another process:

    planned     its requests are written down (`journal`), their rows opened in the ledger, as `Awaited`
    sent        the provider has told the batch's id
    over        every row is closed, every answer handed out; or it was never taken, and all are void

Every step is written before the next is taken. Whoever finds a batch that is planned and not sent asks the
provider whether it has it (`batcher`), so that nothing is submitted twice and no row is left open.

    desk        the errands at a provider's: upload, create, look, fetch, cancel
"""

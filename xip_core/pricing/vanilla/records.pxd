# The C records of records.h, products.h and columns.h; what they mean is written there.

from libc.stdint cimport int32_t, int64_t, uint8_t, uint64_t


cdef extern from "columns.h" nogil:
    enum: NO_DAY, EPOCH_MONTH, CALENDAR_FIRST_DAY, CALENDAR_LAST_DAY, MARGIN_DAYS, SOURCE_SHIFT, DAY_BIAS
    enum: FIXED_LEG, FLOATING_LEG, OVERNIGHT_LEG
    enum: SWAP, FRA, CAP_FLOOR, SWAPTION, BOND, CDS, FX_FORWARD, FX_OPTION, EQUITY_FORWARD, EQUITY_OPTION
    enum: COMMODITY_FORWARD, COMMODITY_OPTION, PYTHON_ROW
    enum: RESOLVED, FALL_BACK
    enum: LINEAR_SOURCE, CONSTANT_SOURCE, SPREAD_SOURCE, LOOKED_UP_SOURCE
    enum: A360, A365F, THIRTY_360, THIRTY_E_360, THIRTY_E_360_ISDA, THIRTY_U_360, ACT_ACT_ISDA, NL_365, ONE
    enum: ACT_ACT_ICMA
    enum: FOLLOWING, MODIFIED_FOLLOWING, PRECEDING, MODIFIED_PRECEDING, UNADJUSTED
    enum: FORWARD, BACKWARD, ZERO, IMM, CDS2015

    ctypedef struct calendar_table:
        const int32_t* before
        const int32_t* open

    ctypedef struct schedule_terms:
        int32_t start, end, first_date, last_date, tenor_months, tenor_days
        int32_t calendar, convention, term_convention, rule, end_of_month, dates_begin, dates_count

    ctypedef struct period_table:
        int32_t count
        int32_t* day
        int32_t* unadjusted
        int32_t* pay
        double* accrual

    ctypedef struct value_range:
        int32_t begin, count

    ctypedef struct leg_record:
        int32_t kind, is_payer, currency, day_count, payment_convention, payment_lag_days, payment_calendar
        int32_t initial_exchange, final_exchange, amortising_exchange, index, fixing_days, is_averaged
        value_range notionals, rates, spreads, gearings
        schedule_terms schedule

    ctypedef struct premium_record:
        double amount
        int32_t currency, day

    ctypedef struct trade_record:
        int32_t kind, leg_begin, leg_count, premium_begin, premium_count, currency, sold_currency, day, end_day
        int32_t calendar, index, forward_source, surface, survival_source
        int32_t is_call, pays_at_default, settles_accrual, has_upfront_date
        double sign, amount, sold_amount, strike, recovery_rate
        value_range caps, floors

    ctypedef struct source_table:
        int32_t kind, begin, knot_count, hint, reference
        const int32_t* knot

    ctypedef struct currency_table:
        int32_t curve, fx, swaption_surface

    ctypedef struct surface_table:
        int32_t begin, row_count, column_count, is_normal, is_total_variance, is_smile
        const int32_t* row_day
        const double* column

    ctypedef struct index_table:
        int32_t curve, calendar, value_calendar, settlement_days, day_count, tenor_months, tenor_days, convention
        int32_t end_of_month, is_par, is_overnight, fixing_count, cap_surface
        const int32_t* fixing_day
        const double* fixing

    ctypedef struct market_tables:
        int32_t as_of_day
        const calendar_table* calendar
        source_table* source
        const currency_table* currency
        const index_table* index
        const surface_table* surface
        const int32_t* dates
        const double* number
        const leg_record* leg
        const premium_record* premium

    ctypedef struct term_record:
        double amount, constant, delta_weight
        int64_t use_begin
        int32_t exponent_count, linear_count

    ctypedef struct option_record:
        double amount, strike, time_years, delta_weight
        int64_t forward_begin, discount_begin, volatility_use
        int32_t forward_count, discount_count, is_call, kind, surface, factor_count, smile_day

    ctypedef struct quotient_record:
        double notional, strike, accrual, index_accrual
        int64_t discount_begin, growth_begin
        int32_t discount_count, growth_count

    ctypedef struct row_record:
        int32_t status, term_count, option_count, quotient_count
        int64_t term_begin, option_begin, quotient_begin, use_begin, use_end, spot_use

    ctypedef struct program_buffer:
        int64_t* use
        option_record* option
        quotient_record* quotient
        row_record* row
        int64_t term_count, use_count, option_count, option_room, quotient_count, quotient_room, row_count
        bint is_out_of_memory
        period_table** periods

    ctypedef struct point_table:
        int64_t count
        const int64_t* begin
        const int32_t* factor
        const double* weight

    ctypedef struct sparse_rows:
        int32_t* ptr
        int32_t* factor
        double* weight
        int64_t factor_count
        bint is_out_of_memory

    ctypedef struct list_columns:
        int32_t* ptr
        double* amount
        double* constant
        double* delta_weight
        sparse_rows exponent, linear

    ctypedef struct program_columns:
        list_columns terms, forward, discount
        sparse_rows spot, volatility, quotient_discount, quotient_growth
        int32_t* option_ptr
        int32_t* quotient_row
        double* option_amount
        double* option_strike
        double* option_time
        double* option_is_call
        double* option_delta_weight
        uint8_t* option_kind
        double* quotient_notional
        double* quotient_strike
        double* quotient_accrual
        double* quotient_index_accrual

    int32_t first_of_month(int32_t month)
    int32_t month_of(int32_t day, int32_t* first)
    bint is_inside(int32_t day)
    int64_t use_of(int32_t source, int32_t day, int is_subtracted)
    int64_t add_uses(program_buffer* program, const int64_t* use, int32_t count)
    void open_list(program_buffer* program)
    void pay(program_buffer* program, double amount, const int64_t* use, int32_t count)
    void add_special(
        program_buffer* program, double amount, double constant, double delta_weight,
        const int64_t* exponent, int32_t exponent_count, const int64_t* linear, int32_t linear_count)
    int32_t close_list(program_buffer* program, int64_t* begin)
    option_record* new_option(program_buffer* program)
    quotient_record* new_quotient(program_buffer* program)
    bint resolve_trades(
        program_buffer* program, const market_tables* market, const trade_record* trade, int64_t begin,
        int64_t end)
    void write_columns(
        program_columns* columns, const program_buffer* program, const market_tables* market,
        const point_table* points)
    void mark_groups(
        const program_buffer* program, const row_record* row, const int32_t* group_of_source,
        const int32_t* group_of_point, const int32_t* group_of_surface, uint64_t* words)
    void free_program(program_buffer* program)
    void free_columns(program_columns* columns)
    bint fill_boundaries(
        const schedule_terms* terms, const calendar_table* calendar, const int32_t* dates, period_table* periods)
    double year_fraction(int day_count, int32_t begin, int32_t end, int32_t termination)
    int32_t adjusted(const calendar_table* calendar, int32_t day, int convention)
    int32_t advanced(const calendar_table* calendar, int32_t day, int32_t business_days)
